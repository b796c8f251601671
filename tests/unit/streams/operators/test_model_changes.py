"""What rules do to models is in the audit: each time once, with the evidence."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import pytest
from msgspec import structs
from river import base

from millrace.models.features import fields
from millrace.models.monitoring.drift import DriftSettings
from millrace.schemas.records import Audit
from millrace.streams.operators.audit import Cause, digest_of
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.model_changes import change_of
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import AuditRecord, Origin
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.task import Task

NOW_MS = 1_700_000_000_000
Make = Callable[..., Any]


class Stubborn(base.Classifier):
    """Says for ever what its first label was; begins with nothing `bad`, and dies of `poison`."""

    def __init__(self) -> None:
        self.first: Any = None
        self.is_dead = False

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        if "bad" in x and self.first is None:
            raise ValueError("cannot begin with this")
        self.first = y if self.first is None else self.first
        self.is_dead = self.is_dead or "poison" in x

    def predict_one(self, x: dict[str, Any]) -> Any:
        if self.is_dead:
            raise ValueError("dead")
        return self.first


class Flow:
    """Prediction and learning on one partition."""

    def __init__(self, pipeline: Any, make_vector: Make, make_label: Make) -> None:
        self.models = ScopedModels(pipeline)
        self.learning = LearningOperator(pipeline, self.models)
        prediction = PredictionOperator(
            pipeline, self.models, self.learning, lambda _: pytest.fail("there are no snapshots")
        )
        self.task = Task([prediction], lambda: 0)
        self._vector, self._label = make_vector, make_label
        self._count = 0
        self.has_early_labels = False
        self.audit: list[Audit] = []
        self.topics: list[str] = []

    def feed(self, labels: list[bool], key: str | None = None, **x: float) -> None:
        for label in labels:
            self._count += 1
            event_id = f"e{self._count}"
            vector = self._vector(event_id, NOW_MS + self._count, key=key, a=1.0, **x)
            records = [vector, self._label(event_id, label, key=key)]
            if self.has_early_labels:
                records.reverse()
            made = [
                each
                for at, record in enumerate(records, 2 * self._count)
                for each in self.task.run(Slice([_at(at, record)]))
            ]
            self.audit += [each.value for each in made if isinstance(each, AuditRecord)]
            self.topics += [each.topic for each in made]


def _at(offset: int, record: Any) -> Any:
    return structs.replace(record, origin=record.origin._replace(offset=offset))


@pytest.fixture
def flow(make_pipeline: Make, make_vector: Make, make_label: Make) -> Callable[..., Flow]:
    def make(policy: str, factory: Any = Stubborn, **more: Any) -> Flow:
        drift = DriftSettings(policy=policy, replacement_after=60, inputs=None, predictions=None)
        pipeline = make_pipeline(models={"own": factory}, drift=drift, **more)
        return Flow(pipeline, make_vector, make_label)

    return make


def drift(ours: Flow, key: str | None = None, **x: float) -> Flow:
    ours.feed([True] * 400, key)
    ours.feed([False] * 200, key, **x)
    return ours


def test_a_reset(flow: Callable[..., Flow]) -> None:
    """Which rule, why, what the detector saw, at which event, and where that is in the log."""
    ours = drift(flow("reset"))
    entry = ours.audit[0]
    assert (entry["subject"], entry["action"]) == ("models['own']", "reset")
    assert (entry["who"], entry["command_id"]) == ("rule:drift.policy", None)
    assert entry["why"].startswith("the mean loss rose from 0")
    assert (entry["before"], entry["after"]) == ("trained", "untrained")
    evidence = entry["evidence"]
    assert {*evidence} == {
        *("detector", "position", "mean_before", "mean_after", "version", "event_id")
    }
    assert evidence["detector"] == "ADWIN"
    assert evidence["version"] == evidence["position"]  # of the first event there is no loss
    assert evidence["event_id"] == f"e{int(evidence['position']) + 1}"
    assert (entry["writer"], entry["number"]) == ("prediction-learning", 1)
    assert entry["digest"] == digest_of(entry)
    assert ours.topics.count("alerts") == len(ours.audit)


@pytest.mark.parametrize("is_early", [False, True], ids=["late labels", "early labels"])
def test_the_place_in_the_log(flow: Callable[..., Flow], is_early: bool) -> None:
    """Where event and label have met: so places ascend, whichever came first."""
    ours = flow("reset")
    ours.has_early_labels = is_early
    for entry in drift(ours).audit:
        number = int(entry["evidence"]["event_id"][1:])
        assert entry["offset"] == 2 * number + 1


def test_a_challenger_that_wins(flow: Callable[..., Flow]) -> None:
    """First that it competes, then that it has taken the place, with how they compared."""
    began, ended = drift(flow("replace")).audit
    name = f"own.challenger@{began['evidence']['version']}"
    assert (began["action"], began["before"], began["after"]) == ("challenged", None, name)
    assert (ended["subject"], ended["action"]) == ("models['own']", "replaced")
    assert (ended["before"], ended["after"]) == ("own", name)
    assert ended["who"] == "rule:drift.replacement_after"
    assert (ended["evidence"]["challenger"], ended["evidence"]["compared"]) == (name, "50")
    assert float(ended["evidence"]["advantage"]) == 1.0
    assert float(ended["evidence"]["log_e_value"]) > -log(float(ended["evidence"]["alpha"]))
    assert ended["previous"] == began["digest"]


def test_a_challenger_that_loses(flow: Callable[..., Flow]) -> None:
    """The candidate is kept."""
    ours = flow("replace")
    ours.feed([True] * 400)
    ours.feed([False] * 30)
    ours.feed([True] * 100)
    began, ended = ours.audit
    assert (began["action"], ended["action"], ended["after"]) == ("challenged", "kept", "own")
    assert ended["why"] == "the challenger is proven worse, or has not been proven better for long"


def test_a_challenger_that_raises(flow: Callable[..., Flow]) -> None:
    """It is put away, and that is said."""
    began, ended = drift(flow("replace"), bad=1.0).audit
    assert (began["action"], ended["action"]) == ("challenged", "kept")
    assert ended["why"] == "the challenger raised an exception when it learned"


@pytest.mark.parametrize(("policy", "action"), [("reset", "reset"), ("replace", "challenged")])
def test_a_candidate_that_is_broken(flow: Callable[..., Flow], policy: str, action: str) -> None:
    """The rule is `on_invalid_prediction`, and the evidence how often it failed."""
    ours = flow("alert", on_invalid_prediction=policy)
    ours.feed([True] * 30)
    ours.feed([True], poison=1.0)
    ours.feed([True] * 10)
    (entry,) = ours.audit
    assert (entry["action"], entry["who"]) == (action, "rule:on_invalid_prediction")
    assert entry["evidence"]["failures"] == "10"


def test_a_reset_beside_a_challenger(flow: Callable[..., Flow]) -> None:
    """The challenger goes on; that it competes has been said before."""
    ours = flow("replace")
    ours.feed([True] * 400)
    ours.feed([False] * 20)
    models = ours.models.of("")
    (rival,) = models.challengers.values()
    cause = Cause("rule:x", "", Origin("examples", 0, 0, 0, None, None))
    assert change_of("own", models, rival, cause, {}).value["action"] == "reset"
    assert change_of("own", models, None, cause, {}).value["action"] == "challenged"


def test_by_key(flow: Callable[..., Flow], avro: Make) -> None:
    """Of a million models, the evidence has the key of the one."""
    schema = avro(id="string", user="string", a="double", y=["null", "boolean"])
    ours = flow("reset", schema=schema, key="user", scope="key", features=(fields("a"),))
    entry = drift(ours, "anna").audit[0]
    assert entry["evidence"]["key"] == "anna"


def test_alerts_alone_are_no_change(flow: Callable[..., Flow]) -> None:
    """With the policy `alert` nothing is written."""
    ours = drift(flow("alert", on_invalid_prediction="alert"))
    assert (ours.audit, "alerts" in ours.topics) == ([], True)


def test_a_factory_that_raises_changes_nothing(flow: Callable[..., Flow]) -> None:
    """Then the model is as it was, the alert is written, and no change is claimed."""
    made = []

    def factory() -> Stubborn:
        made.append(1)
        if len(made) > limit[0]:
            raise RuntimeError("no more")
        return Stubborn()

    limit = [10**6]
    ours = flow("reset", factory)
    ours.feed([True] * 400)
    limit[0] = len(made)
    ours.feed([False] * 200)
    assert ours.audit == []
    assert {"alerts", "rejects"} <= {*ours.topics}
