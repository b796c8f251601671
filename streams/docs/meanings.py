"""What the members of an enum mean, as its source says below each of them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise


def meanings(kind: type[StrEnum]) -> Iterator[tuple[str, str]]:
    """Return the value of each member that is documented, and what it means.

    Examples
    --------
    >>> from millrace.schemas import RejectReason
    >>> next(meanings(RejectReason))
    ('empty', 'The record has no value.')
    """
    (declared,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(declared, ast.ClassDef)
    for member, below in pairwise(declared.body):
        match member, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=said)):
                yield kind[name].value, " ".join(str(said).split())
