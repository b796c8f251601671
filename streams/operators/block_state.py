"""What is kept of blocks of events that are not published, and of those before them."""

from __future__ import annotations

from typing import TypedDict

from millrace.schemas.records import BlockCertainty, BlockLosses, GroupLosses, PromotionTerms

EVENTS = 100
"""How many events a block has, unless the champion or the definition changes on the way."""

LATE = -1
"""In place of a block's number: that block has been published."""


class Block(TypedDict):
    """A block that is not published.

    Attributes
    ----------
    definition, champion, terms
        What is in force, who serves, and by what candidates are judged.
    command
        Number of the last command before it that changed models or who serves.
    first_chunk
        In which chunk of the events that wait its first one is.
    events, waiting
        How many events it has, and how many of them wait.
    first_time_ms, last_time_ms
        The earliest and the latest event time.
    closed_ms
        The latest event time, of it and of those before it; None while events are added.
    wait_ms
        How long labels were waited for as it began.
    loss_bound
        The loss that counts as 1; None where it is not known.
    drifted
        Candidates whose loss drifted while its events came.
    candidates
        Candidate to its losses.
    groups
        Group of events to candidate to how it compares; empty where no groups are named.
    certainty
        How often labels were where they should be; None where the definition under which it began
        does not ask for certainty.
    """

    definition: str
    champion: str
    command: int
    terms: PromotionTerms
    first_chunk: int
    events: int
    waiting: int
    first_time_ms: int
    last_time_ms: int
    closed_ms: int | None
    wait_ms: int
    loss_bound: float | None
    drifted: list[str]
    candidates: dict[str, BlockLosses]
    groups: dict[str, dict[str, GroupLosses]]
    certainty: BlockCertainty | None


class Progress(TypedDict):
    """What is remembered of blocks and labels before.

    Attributes
    ----------
    delays
        How many labels took less than 2^n milliseconds of event time, and at least half as long.
    wait_ms
        How long after that labels are waited for.
    late_labels
        Labels of published blocks that came since the last block was published.
    failures
        Events without a prediction of the champion's since the last record.
    is_told
        Whether a record has told of the champion's first such event at once.
    scale
        About how large losses are; None before the first block, and where they are bounded.
    """

    delays: list[float]
    wait_ms: int
    late_labels: int
    failures: int
    is_told: bool
    scale: float | None
