"""Where a label came from, as a label record says it (`source`), and its outcome (`label_source`).

A topic of the user's own is marked, so that one called `labels` is not taken for `<name>.labels`.
"""

from __future__ import annotations

from collections.abc import Iterable

from millrace.models.pipeline.sources import EventsAndLabels, LabelSource, Source

OWN_TOPICS = ("events", "labels")
"""What ingest reads beside sources."""
INSIDE = "event"
"""Of a label that came inside its event."""
SILENCE = "default"
"""Of a label that is what silence means."""

_MARK = "@"


def name_of(source: Source | LabelSource | EventsAndLabels) -> str:
    """Return what the labels of a source say.

    Examples
    --------
    >>> name_of(LabelSource("chargebacks", event_id="id", label="verdict"))
    '@chargebacks'
    """
    return _MARK + source.topic


def shown(names: Iterable[str | None]) -> list[str | None]:
    """Return the same as outcomes have it, for people.

    Examples
    --------
    >>> shown(["@chargebacks", "labels", None])
    ['chargebacks', 'labels', None]
    """
    return [each and each.removeprefix(_MARK) for each in names]
