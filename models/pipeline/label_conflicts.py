"""What counts where an event gets several labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from millrace.models.parameters import choice, duration, named_fields


class Keep(StrEnum):
    """Which of two labels of equal priority counts."""

    FIRST = "first"
    LAST = "last"


@named_fields
@dataclass(frozen=True, kw_only=True)
class LabelConflicts:
    """Which label of an event counts: that of the largest priority, of those that come in a time.

    The first label of an event is held for so long before models learn it. A `LabelSource` has a
    priority; labels on `<name>.labels` and `<name>.events`, and those inside events, have 1.

    Parameters
    ----------
    within
        How far event time advances between the first label of an event and the moment at which one
        is learned; no longer than events wait for labels.
    keep
        Which of two labels of equal priority counts: the `first`, or the `last`.

    Raises
    ------
    DefinitionError
        Naming the parameter, what it must be and what was given.

    Examples
    --------
    >>> LabelConflicts(within=timedelta(days=3), keep="first").keep
    <Keep.FIRST: 'first'>
    """

    within: timedelta
    keep: Keep | str = Keep.LAST

    def __post_init__(self) -> None:
        duration("label_conflicts.within", self.within, least=timedelta(milliseconds=1))
        object.__setattr__(self, "keep", choice("label_conflicts.keep", self.keep, Keep))
