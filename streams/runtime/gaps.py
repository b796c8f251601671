"""Where an agent's position in the log means nothing, or records behind it are missing."""

from __future__ import annotations

from typing import NamedTuple

from millrace.schemas import BrokerError, ExpiredError, TopicError
from millrace.streams.kafka.identity import Identity
from millrace.streams.kafka.reading import Watermarks


class Position(NamedTuple):
    """How far a partition was read before.

    Attributes
    ----------
    wanted
        The first record that is needed.
    reached
        The offset behind the last record that led to outputs.
    topic
        The topic that the offsets belong to, where this is known.
    """

    wanted: int
    reached: int
    topic: Identity | None


class Gap(NamedTuple):
    """Why an agent cannot go on where it was.

    Attributes
    ----------
    cause
        `recreated`, `truncated` or `expired`.
    explanation
        What has happened.
    records
        How many are missing at most, where this can be known.
    """

    cause: str
    explanation: str
    records: int = 0

    @property
    def error(self) -> BrokerError:
        """The error where it is not accepted."""
        return self._error(
            "To continue with the earliest record that there is, set MILLRACE_ACCEPT_GAPS=true"
        )

    @property
    def found_while_reading(self) -> BrokerError:
        """The error of an agent that reads. It starts again, and that decides how it goes on.

        Kafka forgets what a group has committed of a topic that is deleted, unless the group
        commits behind that. Where it has, an agent without state begins with the new topic.
        """
        if self.cause == "expired":
            return self.error
        return self._error("The agent starts again, and looks how far its group had come")

    def _error(self, advice: str) -> BrokerError:
        kind = ExpiredError if self.cause == "expired" else TopicError
        return kind(f"{self.explanation}. {advice}")


def find_gap(
    agent: str, where: str, before: Position, now: Identity, marks: Watermarks
) -> Gap | None:
    """Return why an agent cannot go on where it was in a partition, if it cannot.

    Examples
    --------
    >>> same = Identity("a", 1)
    >>> before, other = Position(4, 4, same), Identity("b", 1)
    >>> find_gap("ingest", "events[0]", before, same, Watermarks(4, 9)) is None
    True
    >>> find_gap("ingest", "events[0]", before, same, Watermarks(6, 9)).cause
    'expired'
    >>> find_gap("ingest", "events[0]", before, same, Watermarks(0, 3)).cause
    'truncated'
    >>> find_gap("ingest", "events[0]", before, other, Watermarks(0, 9)).cause
    'recreated'
    """
    wanted, reached, topic = before
    if reached and topic is not None and topic.is_another(now):
        return Gap(
            "recreated",
            f"agent {agent} was at offset {reached} of {where}, but the topic was deleted and"
            f" created again since: now it has the offsets {marks.low} to {marks.high}",
        )
    if reached > marks.high:
        return Gap(
            "truncated",
            f"agent {agent} was at offset {reached} of {where}, beyond its end, {marks.high}: the"
            " topic was truncated, or deleted and created again",
        )
    if wanted < marks.low:
        return Gap(
            "expired",
            f"agent {agent} needs {where} from offset {wanted} on, but the earliest on the broker"
            f" is {marks.low}: up to {marks.low - wanted} records have expired, fewer where"
            " transactions were among them (their markers take up offsets)",
            marks.low - wanted,
        )
    return None
