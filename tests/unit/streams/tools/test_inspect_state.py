"""Saved models are described: equally for equal models, and differently for any others."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice

import pytest
from pydantic import SecretStr

from millrace.models.candidates.candidate import Candidate
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.pipeline.sample_events import sample_vectors
from millrace.models.pipelines.loans import applications, pipeline
from millrace.schemas import BrokerError, SnapshotError
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.record import EventRecord, Origin
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.tools.defined import task_factory
from millrace.streams.tools.inspect_state import (
    CandidateState,
    SavedState,
    describe,
    inspect_state,
)
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
    """Champion, challengers and baselines, with the number of examples that they learned."""
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
    """A metric is the very number, and infinity is null."""
    candidates = list(describe(0, learned(30), sample_vectors(pipeline)))
    candidates[0].metrics["worst"] = float("inf")

    document = json.loads(SavedState("loans", "x", {0: {"clean": 30}}, candidates).to_json())

    first = document["candidates"][0]
    assert first["metrics"]["accuracy"] == candidates[0].metrics["accuracy"]
    assert first["metrics"]["worst"] is None
    assert document["covers"] == {"0": {"clean": 30}}


def test_describes_the_state_that_a_worker_saved(left) -> None:
    """What is read back is described as the models themselves are."""
    left.write()
    left.save()

    saved = inspect_state(left.clients, pipeline, left.settings)

    assert (saved.pipeline, saved.agent) == ("loans", "prediction-learning")
    assert saved.covers == {0: {"features": 60}}
    assert saved.candidates == describe(0, left.task, sample_vectors(pipeline))


def test_does_not_describe_what_is_signed_with_another_key(left) -> None:
    """It may not be what a worker wrote."""
    left.write()
    left.save()
    other = left.settings.model_copy(update={"state_key": SecretStr("another")})

    with pytest.raises(SnapshotError):
        inspect_state(left.clients, pipeline, other)


def test_state_of_another_chain_is_an_error(left) -> None:
    """There is no such agent, and so no topic of its state."""
    other = left.settings.model_copy(update={"chain": "full"})

    with pytest.raises(BrokerError, match=r"state\.ingest-feature-prediction-learning-drift"):
        inspect_state(left.clients, pipeline, other)


def digests_after(task: Task, model: str, change: Callable[[Candidate], None]) -> set[str]:
    """Change a candidate; return the names of those whose digests are different now."""
    learning = next(each for each in task.operators if isinstance(each, LearningOperator))
    before = described(task)
    change(learning.models.by_scope_key[""].candidates[model])
    after = described(task)
    return {name for name in before if before[name].digest != after[name].digest}


def test_a_digest_depends_on_every_bit_of_the_probabilities(left) -> None:
    """Not only on the class that is predicted."""
    left.write()

    def move(candidate: Candidate) -> None:
        (*_, regression) = candidate.model.steps.values()
        regression.intercept += 1e-9

    assert digests_after(left.task, "logistic_regression", move) == {"logistic_regression"}


def test_a_digest_depends_on_the_exception_that_a_model_raises(left) -> None:
    """A model that fails for a vector has a digest, too."""
    left.write()

    def broken(error: Exception) -> Callable[[Candidate], None]:
        class Broken:
            def predict_proba_one(self, x: object) -> object:
                raise error

            predict_one = predict_proba_one

        return lambda candidate: setattr(candidate, "model", Broken())

    for error in (ZeroDivisionError(), ValueError()):
        assert digests_after(left.task, "hoeffding_tree", broken(error)) == {"hoeffding_tree"}
    assert digests_after(left.task, "hoeffding_tree", broken(ValueError("other"))) == set()


def test_a_digest_depends_on_the_challenger(left) -> None:
    """What competes for a candidate's place is part of its state."""
    left.write()
    learning = next(each for each in left.task.operators if isinstance(each, LearningOperator))
    before = described(left.task)

    models = learning.models.by_scope_key[""]
    models.handle_drift("hoeffding_tree", DriftPolicy.REPLACE, pipeline)

    after = described(left.task)
    changed = {name for name in before if before[name].digest != after[name].digest}
    assert changed == {"hoeffding_tree"}


def test_describes_nothing_before_the_first_event(left) -> None:
    """There are no models yet."""
    assert described(left.task) == {}
