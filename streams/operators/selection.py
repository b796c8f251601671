"""Selection: who is to serve, by the evidence of all partitions.

Reads `evaluations`; writes `commands` and `alerts`. A candidate that is proven better than the
champion is promoted, and one on probation that does worse is sent back (`models.selection`): by a
command that `control` accepts or refuses as it does anybody's, so that it has a place in the log of
each partition. It says which champion it is against, and is refused where another one serves by
then. Each decision is an alert, too; where it is to be confirmed, it is an alert alone.

State: the evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

from millrace.models.candidates.baselines import baselines
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.promoter import Action, Decision, Promoter
from millrace.schemas.records import Alert, Command
from millrace.streams.control.commands import RULE
from millrace.streams.operators.base import Reading, RecordOperator, Topics
from millrace.streams.operators.columns import Made
from millrace.streams.operators.context import Context
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.record import (
    AlertRecord,
    CommandRecord,
    EvaluationRecord,
    Origin,
    Record,
)
from millrace.streams.operators.slice import Slice

_STATE = "state"


class SelectionOperator(RecordOperator):
    """Decide who is to serve.

    Parameters
    ----------
    pipeline
        Any of its definitions: what they have in common counts.
    """

    name = "selection"

    def __init__(self, pipeline: Pipeline) -> None:
        self._baselines = [*baselines(Task(pipeline.task))]
        self._saved: KeyedState[Mapping[str, Any]] = KeyedState()
        super().__init__(pipeline, self.topics_in([self.name]), evidence=self._saved)

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:  # noqa: ARG003 - the same in each
        return Topics(frozenset({"evaluations"}), frozenset({"commands", "alerts", "rejects"}))

    @classmethod
    def make(cls, context: Context) -> Self:
        return cls(context.pipeline)

    @property
    def promoter(self) -> Promoter:
        """Who is ahead, and what was decided, by now."""
        promoter = Promoter(self._baselines)
        if _STATE in self._saved:
            promoter.restore(self._saved[_STATE])
        return promoter

    def _fold(self, slice_: Slice) -> list[Made]:
        self._promoter = self.promoter
        made = super()._fold(slice_)
        self._saved[_STATE] = self._promoter.to_fields()
        return made

    def process(self, record: Record) -> Iterable[Record]:
        if not isinstance(record, EvaluationRecord):
            return ()
        decision = self._promoter.add(record.value)
        return () if decision is None else self._asked(decision, record.origin)

    def readings(self) -> Iterable[Reading]:
        contest = self.promoter.contest
        for each in contest.in_test():
            yield Reading("candidate_proof", (each.name,), each.proof)
            yield Reading("candidate_difference", (each.name,), each.evidence.mean)

    def _asked(self, decision: Decision, origin: Origin) -> list[Record]:
        """Return the command by which another one is to serve, and the alert that tells of it.

        What is asked for again is no news, and has the same id: control passes it over where it was
        accepted.
        """
        alerts = [] if decision.is_repeated else [AlertRecord(_alert(decision), origin)]
        if decision.action is Action.PROPOSE:
            return [*alerts]
        arguments = {"champion": decision.champion}
        if decision.action is Action.PROMOTE:
            arguments["model"] = decision.model
        command: Command = {
            "id": f"{RULE}@{decision.command}-{decision.action}-{decision.model}",
            "command": decision.action.value,
            "arguments": arguments,
            "who": RULE,
            "why": decision.why,
            "time_ms": None,
        }
        return [CommandRecord(command, origin), *alerts]


def _alert(decision: Decision) -> Alert:
    detail = decision.why
    if decision.action is Action.PROPOSE:
        detail += f". `millrace promote {decision.model} --reason ...` lets it serve"
    return Alert(
        source=f"promotion:{decision.model}",
        detector=decision.detector,
        event_id="",
        event_time_ms=decision.time_ms,
        position=decision.labels,
        mean_before=decision.champion_loss,
        mean_after=decision.model_loss,
        action=decision.action.value,
        model=decision.model,
        model_version=0,
        detail=detail,
        reasons=[],
    )
