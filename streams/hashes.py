"""One order of sets in every process that runs models.

The catalogue's models need nothing of the kind (`models.candidates.ordered`), but a user's own
model may walk through a set of texts, whose order depends on Python's hash seed. Workers then
differ after a handover, and `reproduce` finds differences.
"""

from __future__ import annotations

import os
import sys

_VARIABLE = "PYTHONHASHSEED"
_SEED = "0"


def has_fixed_hashes() -> bool:
    """Whether this process has the hash seed that all workers have."""
    return os.environ.get(_VARIABLE) == _SEED


def fix_hashes() -> None:
    """Start this command again with the seed in its environment, unless it has it already."""
    if not has_fixed_hashes():
        os.environ[_VARIABLE] = _SEED
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself
