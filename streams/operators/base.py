"""The contract of an operator.

An operator folds the records of one partition, in their order, into its own state and into
output records. It is synchronous, does no I/O, reads no clock (time is the record's event time)
and uses no randomness without a seed. So the same log gives the same outputs and the same state,
wherever it is cut into slices and whichever operators share an agent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self, TypeAlias

from millrace.models.user_code import PASSED_ON
from millrace.schemas import RecordError, RejectReason
from millrace.streams.operators.columns import Made, as_records
from millrace.streams.operators.keyed_state import StateStore
from millrace.streams.operators.record import (
    AcceptedRecord,
    AuditRecord,
    Origin,
    Record,
    RejectRecord,
    last_frame,
    reject,
)
from millrace.streams.operators.slice import Slice

if TYPE_CHECKING:
    from millrace.models.pipeline.definition import Pipeline
    from millrace.streams.operators.context import Context
    from millrace.streams.operators.deployment import Deployment

Kind: TypeAlias = Literal["event", "label"]
"""What a user produced."""

_OF_LABELS = frozenset({"Label", "Example"})

Tally = Counter[tuple[str, ...]]
"""What happened, as (what, which) to a count; taken and emptied after each batch.

After `what` come the values of the labels of the metric that it is shown as, but for `pipeline`.
"""


class Topics(NamedTuple):
    """What an operator reads and writes: topics without the pipeline's prefix."""

    reads: frozenset[str]
    writes: frozenset[str]


class Reading(NamedTuple):
    """Something that an operator's state shows, for a metric of that name.

    `labels` are the values of the metric's labels, in the metric's own order, without the
    pipeline and the partition.
    """

    metric: str
    labels: tuple[str, ...]
    value: float


class HaltError(Exception):
    """User code raised its cause, and `on_error` is `stop`: no guard makes a reject of it."""


class Operator(ABC):
    """A fold over one partition.

    Parameters
    ----------
    pipeline
        The definition.
    topics
        What this operator reads and writes.
    stores
        Name to keyed state: all the state there is. What is not in it ends with the process.

    Attributes
    ----------
    name
        The job that it does.
    runs_within
        Name of the operator that calls this one itself where the two share an agent.
    tally
        What happened since it was last emptied.
    nested
        Operators that it calls itself, since they share its state.
    """

    name: ClassVar[str]
    runs_within: ClassVar[str] = ""

    def __init__(self, pipeline: Pipeline, topics: Topics, **stores: StateStore) -> None:
        self.pipeline = pipeline
        self.topics = topics
        self.stores: dict[str, StateStore] = stores
        self.tally: Tally = Counter()
        self.nested: tuple[Operator, ...] = ()
        self._stops_on_error = pipeline.on_error == "stop"

    @classmethod
    @abstractmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:
        """Return what it reads and writes where it shares an agent with these operators."""

    @classmethod
    @abstractmethod
    def make(cls, context: Context) -> Self:
        """Return the operator of one task, with empty state."""

    def fold(self, slice_: Slice) -> list[Made]:
        """Fold the records that it reads, and return what they lead to, in order for each topic."""
        try:
            return self._fold(slice_)
        except HaltError as halt:
            raise _halting(halt.__cause__) from halt.__cause__

    def run(self, slice_: Slice) -> list[Record]:
        """Fold a slice, and return what it leads to with an object for each record."""
        return as_records(self.fold(slice_))

    @abstractmethod
    def _fold(self, slice_: Slice) -> list[Made]:
        """Do what `fold` says.

        Raises
        ------
        HaltError
            What user code raised is to halt the agent.
        """

    def readings(self) -> Iterable[Reading]:
        """Return what the state shows, for metrics. Changes nothing.

        It is called between slices, also while another thread saves the stores.
        """
        return ()

    def inherit(self, before: Operator, deployment: Deployment) -> list[AuditRecord]:  # noqa: ARG002 - for others
        """Take over from the same operator of the definition before; return what was changed.

        This one has been made of its definition, and has folded nothing. It goes on with the
        other's stores, the same objects, which that one must not touch again. No save of them is
        going on. What is unchanged in the definition goes on bit for bit.
        """
        return []

    def apply(self, command: AcceptedRecord) -> Sequence[Made]:  # noqa: ARG002 - for others
        """Do what a command asks for at its place in the log; return what that leads to, if any.

        It is called for the commands that name this operator in their `CommandSpec`.
        """
        return []

    def _fail(
        self,
        kind: Kind,
        origin: Origin,
        reason: RejectReason,
        error: BaseException,
        detail: str = "",
    ) -> RejectRecord:
        """Return the dead letter of a record for which the user's own code raised an exception.

        Raises
        ------
        HaltError
            Where `on_error` is `stop`: the agent starts again at this record, later each time, and
            `/healthz` says why.
        """
        if self._stops_on_error:
            raise HaltError from error
        return self._reject(kind, origin, reason, detail or last_frame(error))

    def _reject(
        self, kind: Kind, origin: Origin, reason: RejectReason, detail: str
    ) -> RejectRecord:
        """Return the dead letter of an event or a label, and count it."""
        self.tally[f"rejected_{kind}", reason.value] += 1
        return reject(origin, reason, detail)


class RecordOperator(Operator):
    """An operator that takes one record after the other, and accounts for them at the end.

    What decides is done as each record's turn comes. What only accounts for it (metrics, monitors,
    what is written for every event) is done for the slice as a whole.

    A guard stands around each record: whatever it raises, it becomes a reject, and the next record
    follows. What user code raises has a reason of its own, and so has what is wrong with the
    record; the rest is a fault of Millrace's own (`internal_error`).
    """

    def __init__(self, pipeline: Pipeline, topics: Topics, **stores: StateStore) -> None:
        super().__init__(pipeline, topics, **stores)
        self._made: list[Record] = []

    @abstractmethod
    def process(self, record: Record) -> Iterable[Record]:
        """Take the next record of the partition and return what it leads to at once, in order.

        Raises
        ------
        RecordError
            It cannot be used.
        """

    def settle(self, made: list[Record]) -> list[Made]:
        """Account for a slice, and return all that it leads to.

        Parameters
        ----------
        made
            What its records have led to at once, in order.
        """
        return [*made]

    def _fold(self, slice_: Slice) -> list[Made]:
        self._made = []
        self._take(iter(slice_))
        return self.settle(self._made)

    def _take(self, left: Iterator[Record]) -> None:
        """Take records one by one."""
        while (failed := self._run_until_failure(left, self._made)) is not None:
            self._made.append(failed)

    @property
    def _place(self) -> int:
        """How much the slice has led to so far."""
        return len(self._made)

    def _run_until_failure(self, left: Iterator[Record], made: list[Record]) -> RejectRecord | None:
        reads, process = self.topics.reads, self.process
        record: Record | None = None
        try:
            for record in left:
                if record.topic in reads:
                    made += process(record)
        except (HaltError, *PASSED_ON):
            raise
        except BaseException as error:
            assert record is not None
            return self._failed(record, error)
        return None

    def _failed(self, record: Record, error: BaseException) -> RejectRecord:
        kind: Kind = "label" if record.type in _OF_LABELS else "event"
        if isinstance(error, RecordError):
            return self._reject(kind, record.origin, error.reason, error.detail)
        self.tally["internal_error", self.name] += 1
        return self._reject(kind, record.origin, RejectReason.INTERNAL_ERROR, last_frame(error))


def inserted(made: list[Record], settled: Iterable[tuple[int, Record]]) -> list[Record]:
    """Return what a slice has led to at once, and what its account leads to, each at its place."""
    in_order = sorted(settled, key=itemgetter(0))
    for place, record in in_order[::-1]:
        made.insert(place, record)
    return made


def _halting(error: BaseException | None) -> Exception:
    """Return what halts the agent: the error, or what stands for one that would end the process."""
    return error if isinstance(error, Exception) else RuntimeError(f"user code raised {error!r}")
