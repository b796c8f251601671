"""What an event's label is when no news has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from millrace.models.parameters import duration, named_fields
from millrace.schemas.records import LabelValue


@named_fields
@dataclass(frozen=True)
class LabelDefault:
    """The label of an event that has waited for one long enough.

    Parameters
    ----------
    label
        What silence means: that a payment was not charged back, for example.
    after
        How far event time advances before an event without a label gets this one: so long it waits,
        whatever `pending.ttl` is. An event that is evicted before gets none.

    Raises
    ------
    DefinitionError
        `after` is no time span.

    Examples
    --------
    >>> LabelDefault(False, after=timedelta(days=30)).label
    False
    """

    label: LabelValue
    after: timedelta = field(kw_only=True)

    def __post_init__(self) -> None:
        duration("label_default.after", self.after, least=timedelta(milliseconds=1))
