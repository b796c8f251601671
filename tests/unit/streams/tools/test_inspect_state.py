"""What is said of saved models: the same for the same models, another for any others."""

from __future__ import annotations

import json
from itertools import islice

from millrace.models.pipeline.sample_events import sample_vectors
from millrace.models.pipelines.loans import applications, pipeline
from millrace.streams.operators.record import EventRecord, Origin
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.tools.inspect_state import CandidateState, SavedState, describe
from millrace.streams.tools.reproduce import task_factory
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.task import Task

AGENT = AgentSpec(("feature", "prediction", "learning"))


def learned(examples: int, seed: int = 1) -> Task:
    task = task_factory(pipeline, Settings(), AGENT, 1).make()
    for offset, each in enumerate(islice(applications(examples, seed=seed), examples)):
        label, event_id = each.pop("granted"), each["application_id"]
        event = {
            "event_id": event_id,
            "key": None,
            "event_time_ms": each["applied_at"],
            "label": label,
            "fields": each,
        }
        task.run(Slice([EventRecord(event, Origin("clean", 0, offset, 0, None, None))]))
    return task


def described(task: Task) -> dict[str, CandidateState]:
    return {each.model: each for each in describe(0, task, sample_vectors(pipeline))}


def test_describes_every_model_with_its_version_and_metrics() -> None:
    """Champion, challengers and baselines are there, with the examples that they learned."""
    found = described(learned(40))

    assert {*found} == {*pipeline.models, "no_change", "prior"}
    assert {each.version for each in found.values()} == {40}
    assert [name for name, each in found.items() if each.is_champion] == ["hoeffding_tree"]
    assert 0 <= found["logistic_regression"].metrics["accuracy"] <= 1


def test_gives_equal_models_equal_digests() -> None:
    """Two folds of the same log have the same digests."""
    assert described(learned(40)) == described(learned(40))


def test_gives_other_models_other_digests() -> None:
    """One example more, or other examples, change the digest of every model."""
    base, more, other = (described(each) for each in (learned(40), learned(41), learned(40, 2)))

    for name in pipeline.models:
        assert len({base[name].digest, more[name].digest, other[name].digest}) == 3


def test_does_not_change_what_it_describes() -> None:
    """A model that was described twice is the same the second time."""
    task = learned(40)

    assert described(task) == described(task)


def test_writes_json_in_full_precision() -> None:
    """What JSON says of a metric is the very number, and what it has no number for is text."""
    candidates = list(describe(0, learned(30), sample_vectors(pipeline)))
    candidates[0].metrics["worst"] = float("inf")

    document = json.loads(SavedState("loans", "x", {0: {"clean": 30}}, candidates).to_json())

    first = document["candidates"][0]
    assert first["metrics"]["accuracy"] == candidates[0].metrics["accuracy"]
    assert first["metrics"]["worst"] is None
    assert document["covers"] == {"0": {"clean": 30}}
