"""The blocks of events on the topic `evaluations`: who is ahead."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import closing, suppress
from typing import Any, NamedTuple, Self, cast

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.incumbents import incumbent_of
from millrace.models.certainty.coverage import CoverageByBlock
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.contest import Contest, Standing
from millrace.models.selection.evidence import Evidence
from millrace.models.selection.groups import Groups
from millrace.models.selection.promoter import Promoter
from millrace.schemas import RecordError
from millrace.schemas.records import Evaluation
from millrace.streams.formats import Outputs
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import TopicReader
from millrace.streams.topology.codec import SHIPPED
from millrace.streams.topology.topics import topic_prefix

ALPHA = 0.05
"""Of the intervals that are shown."""

_POLL_SECONDS = 0.5
_SHOWN = ("partition", "number", "last_time_ms", "metrics")


class Followed(NamedTuple):
    """What the blocks of a pipeline have shown.

    Attributes
    ----------
    promoter
        Who is ahead.
    groups
        Where each is.
    metrics
        Partition to the newest block with metrics.
    coverage
        How often labels were inside intervals, or sets.
    """

    promoter: Promoter
    groups: Groups
    metrics: dict[int, Evaluation]
    coverage: CoverageByBlock

    @classmethod
    def begun(cls, task: str) -> Self:
        """Return what has been shown before the first block."""
        return cls(Promoter([*baselines(Task(task))]), Groups(), {}, CoverageByBlock())

    def add(self, block: Evaluation) -> None:
        """Take the next block."""
        self.promoter.add(block)
        if block["champion"] == self.promoter.contest.champion:
            self.groups.add(block)
        if block["metrics"]:
            self.metrics[block["partition"]] = block
        if block["certainty"] is not None:
            self.coverage.add(block["certainty"])


def follow_evaluations(
    clients: Clients, pipeline: Pipeline, outputs: Outputs | None = None
) -> Generator[Followed, None, None]:
    """Yield what the blocks of a pipeline have shown, and again whenever more have come.

    What somebody else wrote to the topic is passed over.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no such topic.
    """
    followed = Followed.begun(pipeline.task)
    topic = f"{topic_prefix(pipeline)}evaluations"
    partitions = range(count_partitions(clients, topic))
    places = [TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions]
    with closing(TopicReader(clients, places)) as reader:
        is_first = True
        while True:
            messages = reader.take(_POLL_SECONDS)
            for message in messages:
                with suppress(RecordError):
                    followed.add(_block(message.value() or b"", outputs or Outputs()))
            if not reader.unfinished and (messages or is_first):
                is_first = False
                yield followed


def role_of(name: str, champion: str, baselines: Collection[str]) -> str:
    """Return what a name stands for: `champion`, `challenger`, `baseline` or `candidate`.

    Examples
    --------
    >>> role_of("tree.challenger@9", champion="tree", baselines=["prior"])
    'challenger'
    """
    if name == champion:
        return "champion"
    if incumbent_of(name) != name:
        return "challenger"
    return "baseline" if name in baselines else "candidate"


def in_order(contest: Contest, baselines: Collection[str]) -> list[Standing]:
    """Return the champion, then who is ahead; baselines are last."""

    def place(standing: Standing) -> tuple[bool, bool, float]:
        is_baseline = standing.name in baselines
        return is_baseline, standing.name != contest.champion, -standing.evidence.mean

    return sorted(contest.standings.values(), key=place)


def as_data(followed: Followed, baselines: Collection[str]) -> dict[str, Any]:
    """Return what has been shown as data."""
    promoter, contest = followed.promoter, followed.promoter.contest
    newest = [dict(block) for _, block in sorted(followed.metrics.items())]
    return {
        "champion": contest.champion,
        "former": contest.former or None,
        "definition": contest.definition,
        "failed": promoter.failed,
        "is_on_probation": promoter.is_on_probation,
        "terms": contest.terms,
        "since_ms": contest.since_ms,
        "blocks": contest.blocks,
        "late_labels": contest.late_labels,
        "coverage": followed.coverage.as_data(),
        "round": contest.round_number,
        "candidates": {
            each.name: _as_data(each, role_of(each.name, contest.champion, baselines))
            for each in in_order(contest, baselines)
        },
        "groups": {
            group: {name: _difference(each) for name, each in found.items()}
            for group, found in followed.groups.evidence.items()
        },
        "metrics": [{name: block[name] for name in _SHOWN} for block in newest],
    }


def _as_data(standing: Standing, role: str) -> dict[str, Any]:
    return {
        "role": role,
        "rival": standing.rival,
        "labels": standing.labels,
        "missing": standing.missing,
        "mean_loss": standing.mean_loss,
        "difference": standing.evidence.mean,
        "interval": [*standing.evidence.interval(ALPHA)],
        "proof": standing.proof,
        "counter_proof": standing.counter_proof,
        "repeats": standing.repeats,
        "has_won": standing.has_won,
        "labels_needed": standing.labels_needed,
    }


def _difference(evidence: Evidence) -> dict[str, Any]:
    interval = [*evidence.interval(ALPHA)]
    return {"labels": evidence.n, "difference": evidence.mean, "interval": interval}


def _block(data: bytes, outputs: Outputs) -> Evaluation:
    return cast(Evaluation, outputs.decode(SHIPPED["Evaluation"], data))
