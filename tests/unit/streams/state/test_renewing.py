"""What cannot be read is lost alone, by name, and begins anew; all else goes on, bit for bit."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from river import metrics
from structlog.testing import capture_logs

from millrace import DriftSettings, Pipeline, catalogue, fields
from millrace.models.pipeline.parts import inner, parts
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.state.log import StateLog
from millrace.streams.state.sealing import HERE
from millrace.streams.state.unpickling import StateUnpickler
from millrace.streams.topology.task import Task
from tests.unit.streams.conftest import KEY
from tests.unit.streams.state.test_log import EVERYTHING, STATE, learn, make_task, save

SOURCE = """
from river import drift, linear_model, metrics
from millrace import Feature, Store

STORE = Store("own")

class Model(linear_model.LogisticRegression):
    pass

class Metric(metrics.LogLoss):
    pass

class Counting(metrics.Precision):
    pass

class Detector(drift.ADWIN):
    pass

class Entry:
    def __init__(self, seen):
        self.seen = seen

class Kept(Feature):
    names = ("nth",)

    def check(self, schema):
        pass

    def bind(self, stores):
        kept = stores(STORE)

        def extract(event):
            key = "odd" if event["fields"]["a"] % 2 else "even"
            seen = kept.get(key, 0)
            count = (seen.seen if isinstance(seen, Entry) else seen) + 1
            kept[key] = Entry(count) if key == "odd" else count
            return {"nth": count}

        return extract
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[ModuleType]:
    """Return a module of a user's."""
    (tmp_path / "users_losses.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__("users_losses")
    del sys.modules["users_losses"]


@pytest.fixture
def pipeline(own: Any, make_pipeline: Callable[..., Pipeline]) -> Pipeline:
    return make_pipeline(
        models={
            "own": own.Model,
            "tree": catalogue.factory("hoeffding_tree", "binary"),
            "bayes": catalogue.factory("gaussian_naive_bayes", "binary"),
        },
        features=[fields("a", "b"), own.Kept()],
        metrics={
            "f1": metrics.F1,
            "own": own.Metric,
            "counting": own.Counting,
            "log_loss": metrics.LogLoss,
        },
        drift=DriftSettings(inputs={"a": own.Detector, "b": "adwin"}),
    )


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({STATE: 1, "p.models": 1})


@pytest.fixture
def learned(pipeline: Pipeline) -> Task:
    """Return a task that has learned, and is not saved."""
    task = make_task(pipeline)
    learn(task, pipeline, range(60))
    return task


@pytest.fixture
def trained(pipeline: Pipeline, broker: FakeBroker, learned: Task) -> Task:
    """Return a task that is saved."""
    save(make_log(pipeline, broker), broker, learned, {}, 1)
    return learned


def make_log(pipeline: Pipeline, broker: FakeBroker, **more: Any) -> StateLog:
    return StateLog(pipeline, EVERYTHING, FakeClients(broker), "p.", KEY, **more)


class Restored:
    """A task restored from what is saved, and what was said of it."""

    def __init__(self, pipeline: Pipeline, broker: FakeBroker) -> None:
        self.counted = 0
        self.log = make_log(pipeline, broker, on_lost=self._count)
        self.task = make_task(pipeline)
        with capture_logs() as logs:
            self.log.read([0])[0].restore(self.task)
        self.said = [(each["key"], each["part"]) for each in logs if "is lost" in each["event"]]
        self.reasons = [each["reason"] for each in logs if "is lost" in each["event"]]

    def _count(self) -> None:
        self.counted += 1


def bits(task: Task, *without: str) -> dict[str, str]:
    """Return every value in the stores of a task, by its place; without places that have a text."""
    found = {}
    for name, store in task.stores():
        held: Any = store
        for place, part in parts(name, {key: held[key] for key in held}):
            if callable(part) or _is_cache(place) or any(each in place for each in without):
                continue
            is_compiled = type(part).__module__.startswith("river._river_rust")
            if is_compiled or not [*inner(part)]:
                found[place] = pickle.dumps(part).hex() if is_compiled else repr(part)
    return found


def _is_cache(place: str) -> bool:
    return place.endswith("._answer")  # of a tree, which is not saved


def models_of(task: Task) -> Any:
    (learning,) = (each for each in task.operators if isinstance(each, LearningOperator))
    return learning.models.by_scope_key[""]


def test_nothing_is_lost_where_all_can_be_read(
    pipeline: Pipeline, broker: FakeBroker, trained: Task
) -> None:
    """All that was saved is there again, to the last bit."""
    again = Restored(pipeline, broker)
    assert (again.said, again.counted) == ([], 0)
    assert bits(again.task) == bits(trained)


def test_a_candidate_whose_class_is_gone_begins_anew(
    pipeline: Pipeline,
    broker: FakeBroker,
    trained: Task,
    own: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The champion stays the champion; the other two, counts and version go on."""
    monkeypatch.delattr(own, "Model")
    again = Restored(pipeline, broker)
    assert again.said == [("learning/models/", "models['own']")]
    assert again.counted == 1
    assert "users_losses.Model" in again.reasons[0]
    lost = "candidates['own']"
    assert bits(again.task, lost) == bits(trained, lost)
    models = models_of(again.task)
    assert (models.champion, models.version) == ("own", 60)
    assert models.models["own"].weights == {}
    learn(again.task, pipeline, range(60, 70))
    assert models.models["own"].weights


def test_what_is_lost_is_said_once(
    pipeline: Pipeline,
    broker: FakeBroker,
    trained: Task,
    own: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next save writes what has begun anew, and nothing else."""
    with monkeypatch.context() as gone:
        gone.delattr(own, "Model")
        again = Restored(pipeline, broker)
    written = save(again.log, broker, again.task, {}, 2)
    assert [each.key for each in written] == ["learning/models/", "manifest"]
    later = Restored(pipeline, broker)
    assert later.said == []
    assert bits(later.task) == bits(again.task)


def test_a_candidate_that_lacks_an_attribute_begins_anew(
    pipeline: Pipeline, broker: FakeBroker, learned: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another version of River wrote it: it would load, and fail at its first prediction."""
    del vars(models_of(learned).models["bayes"])["gaussians"]
    with monkeypatch.context() as before:
        before.setitem(HERE, "river", "0.0.1")
        save(make_log(pipeline, broker), broker, learned, {}, 1)
    again = Restored(pipeline, broker)
    assert again.said == [("learning/models/", "models['bayes']")]
    assert "river 0.0.1" in again.reasons[0]
    lost = "candidates['bayes']"
    assert bits(again.task, lost) == bits(learned, lost)


def test_a_candidate_whose_own_code_needs_more_begins_anew(
    pipeline: Pipeline,
    broker: FakeBroker,
    trained: Task,
    own: ModuleType,
    tmp_path: Path,
) -> None:
    """A digest of the code is in its stamp: an attribute that new code relies on is missed."""
    more = "    def __init__(self):\n        super().__init__()\n        self.more = 1\n"
    changed = SOURCE.replace("LogisticRegression):\n    pass\n", f"LogisticRegression):\n{more}")
    (tmp_path / "users_losses.py").write_text(changed)
    del sys.modules[own.__name__]
    invalidate_caches()
    import_module(own.__name__)
    again = Restored(pipeline, broker)
    assert again.said == [("learning/models/", "models['own']")]
    assert again.reasons[0].endswith("state has no more")


@pytest.mark.parametrize(
    ("kind", "names"), [("Metric", {"own"}), ("Counting", {"counting"})], ids=["own", "over matrix"]
)
def test_a_metric_that_is_lost_begins_anew(
    pipeline: Pipeline,
    broker: FakeBroker,
    trained: Task,
    own: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    names: set[str],
) -> None:
    """The metrics of other names go on; one over the matrix, which the others share, reads it."""
    monkeypatch.delattr(own, kind)
    again = Restored(pipeline, broker)
    (name,) = names
    models = ["own", "tree", "bayes", "no_change", "prior"]
    assert again.said == [
        ("learning/evaluation/partition", f"metrics[{name!r}] of {each!r}") for each in models
    ]
    lost = f"_metrics[{name!r}]"
    assert bits(again.task, lost, "_by_value", "_by_prob", "_begun") == bits(
        trained, lost, "_by_value", "_by_prob", "_begun"
    )
    learning = next(each for each in again.task.operators if isinstance(each, LearningOperator))
    before = next(each for each in trained.operators if isinstance(each, LearningOperator))
    assert learning.evaluation is not None
    assert before.evaluation is not None
    if kind == "Counting":
        assert learning.evaluation.cumulative() == before.evaluation.cumulative()
    learn(again.task, pipeline, range(60, 90))
    assert {*learning.evaluation.cumulative()["own"]} == {"f1", "own", "counting", "log_loss"}


def test_the_matrix_of_metrics_is_lost_with_them(
    pipeline: Pipeline, broker: FakeBroker, trained: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin anew over a fresh one that they share again."""
    monkeypatch.setattr(
        "millrace.models.candidates.ordered.ConfusionMatrix.__setstate__", _fail, raising=False
    )
    again = Restored(pipeline, broker)
    monkeypatch.undo()
    assert {part.split()[0] for _, part in again.said} == {"metrics['f1']", "metrics['counting']"}
    assert "['log_loss']" in str(bits(again.task).keys())
    learning = next(each for each in again.task.operators if isinstance(each, LearningOperator))
    learn(again.task, pipeline, range(60, 90))
    assert learning.evaluation is not None
    assert {*learning.evaluation.cumulative()["own"]} == {"f1", "own", "counting", "log_loss"}


def _fail(*_: object) -> None:
    raise AttributeError("of a matrix")


def test_a_detector_that_is_lost_begins_anew(
    pipeline: Pipeline,
    broker: FakeBroker,
    trained: Task,
    own: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The position of its monitor goes on, and all other monitors do."""
    monkeypatch.delattr(own, "Detector")
    again = Restored(pipeline, broker)
    assert again.said == [("drift/monitors/input:a", "the detector of 'input:a'")]
    lost = "drift/monitors['input:a']."
    assert bits(again.task, lost) == bits(trained, lost)
    monitor = dict(again.task.stores())["drift/monitors"]["input:a"]  # type: ignore[index]
    assert monitor.update_many([1.0] * 10) == []
    assert monitor._position == 70


def test_detectors_of_losses_begin_anew(
    pipeline: Pipeline,
    broker: FakeBroker,
    trained: Task,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All have the same detector; each is named."""
    find = StateUnpickler.find_class

    def without_adwin(unpickler: StateUnpickler, module: str, name: str) -> object:
        if name == "ADWIN":
            raise AttributeError(name)
        return find(unpickler, module, name)

    monkeypatch.setattr(StateUnpickler, "find_class", without_adwin)
    again = Restored(pipeline, broker)
    monitors = [f"the detector of 'loss:{each}'" for each in ("own", "tree", "bayes")]
    assert {*monitors} <= {part for _, part in again.said}
    learn(again.task, pipeline, range(60, 90))


def test_an_entry_of_a_users_store_is_lost_alone(
    pipeline: Pipeline,
    broker: FakeBroker,
    trained: Task,
    own: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An entry beside it, which is data, goes on."""
    monkeypatch.delattr(own, "Entry")
    again = Restored(pipeline, broker)
    assert again.said == [("feature/own/odd", "all of it")]
    assert bits(again.task, "feature/own") == bits(trained, "feature/own")
    assert {**dict(again.task.stores())["feature/own"]} == {"even": 36}  # type: ignore[arg-type]
