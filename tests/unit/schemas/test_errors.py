"""Everything that is raised on purpose is one tree."""

from __future__ import annotations

import inspect
import re

from millrace.schemas import MillraceError, RecordError, RejectReason, errors


def test_the_tree_is_as_drawn() -> None:
    """The tree in the module's docstring holds every error, and no other."""
    drawn = set(re.findall(r"^[ │]*[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE))
    defined = {
        name
        for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, Exception) and each is not MillraceError
    }
    assert drawn == defined != set()
    assert all(issubclass(getattr(errors, name), MillraceError) for name in defined)


def test_record_error_carries_its_reason() -> None:
    """A record's error says why in a form for machines, and in one for people."""
    error = RecordError(RejectReason.EMPTY, "the record has no value")
    assert error.reason is RejectReason.EMPTY
    assert error.detail == "the record has no value"
    assert str(error) == "empty: the record has no value"
