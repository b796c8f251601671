"""The contract of an operator.

An operator folds the records of one partition, in their order, into its own state and into
output records. It is synchronous, does no I/O, reads no clock (time is the record's event time)
and uses no randomness without a seed. So the same log gives the same outputs and the same state,
however it is cut into batches and whichever operators share an agent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, Literal, TypeAlias

from millrace.models.pipeline.definition import OnError, Pipeline
from millrace.schemas import RejectReason
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import Origin, Record, last_frame, reject

Kind: TypeAlias = Literal["event", "label"]
"""What a user produced."""

Tally = Counter[tuple[str, str]]
"""What happened, as (what, which) to a count; taken and emptied after each batch."""


class Operator(ABC):
    """A fold over one partition.

    Attributes
    ----------
    name
        The job that it does.
    reads, writes
        Topics without the pipeline's prefix.
    stores
        Name to keyed state: all the state there is. What is not in it goes with the process.
    tally
        What happened since it was last emptied.
    nested
        Operators that it calls itself, since they share its state.
    """

    name: ClassVar[str]
    reads: frozenset[str]
    writes: frozenset[str]
    nested: tuple[Operator, ...] = ()

    def __init__(self, pipeline: Pipeline, **stores: KeyedState) -> None:
        self._stops_on_error = pipeline.on_error is OnError.STOP
        self.stores = stores
        self.tally: Tally = Counter()

    @abstractmethod
    def process(self, record: Record) -> Iterable[Record]:
        """Take the next record of the partition and return what it leads to, in order."""

    def run(self, records: Iterable[Record]) -> list[Record]:
        """Take the next records, of which it leaves out those of topics that it does not read."""
        made: list[Record] = []
        for record in records:
            if record.topic in self.reads:
                made += self.process(record)
        return made

    def _fail(
        self, kind: Kind, origin: Origin, reason: RejectReason, error: Exception, detail: str = ""
    ) -> Record:
        """Return the dead letter of a record at which the user's own code has raised.

        Raises
        ------
        Exception
            `error` itself, where the pipeline would rather stop: the agent begins again at this
            record, later each time, and `/healthz` says why.
        """
        if self._stops_on_error:
            raise error
        return self._reject(kind, origin, reason, detail or last_frame(error))

    def _reject(self, kind: Kind, origin: Origin, reason: RejectReason, detail: str) -> Record:
        """Return the dead letter of an event or a label, and count it."""
        self.tally[f"rejected_{kind}", reason.value] += 1
        return reject(origin, reason, detail)
