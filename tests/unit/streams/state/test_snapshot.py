"""State comes back as it was, and nothing else comes in."""

from __future__ import annotations

import builtins
import hashlib
import hmac
import json
import os
import pickle
import random
import re
import subprocess
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import attrgetter
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import (
    anomaly,
    drift,
    dummy,
    ensemble,
    feature_extraction,
    forest,
    linear_model,
    metrics,
    multiclass,
    naive_bayes,
    neighbors,
    preprocessing,
    tree,
    utils,
)

from millrace import catalogue
from millrace.models.pipeline.tasks import Task
from millrace.schemas import LostError, SnapshotError
from millrace.streams.redaction import redact
from millrace.streams.state import snapshot
from millrace.streams.state.sealing import HERE
from millrace.streams.state.signing import verified

KEY = b"the key of these tests"
PREFIX_SIZE = 4
STAMP_START = PREFIX_SIZE + 32 + 4


def signed(stamp: Mapping[str, object], content: bytes) -> bytes:
    """Sign any stamp and content, as someone who had the key could."""
    head = json.dumps(stamp).encode()
    body = len(head).to_bytes(4, "big") + head + content
    prefix = snapshot.dump(None, KEY)[:PREFIX_SIZE]
    return prefix + hmac.new(KEY, prefix + body, hashlib.sha256).digest() + body


def forged(pickled: bytes, **changes: object) -> bytes:
    """Sign any pickle as a whole entry, which it was up to version 3."""
    return signed({"state": 3, **HERE, **changes}, pickled)


def sealed(pickled: bytes, **changes: object) -> bytes:
    """Sign any pickle as a sealed part."""
    part = msgspec.msgpack.encode([{**HERE, **changes}, pickled])
    return signed({"state": 4}, msgspec.msgpack.encode(msgspec.msgpack.Ext(7, part)))


FORMS = pytest.mark.parametrize("form", [forged, sealed])


def named(module: str, name: str, *arguments: object) -> bytes:
    """Write the pickle that calls `module.name`, whether or not there is such a thing."""
    text = [pickle.SHORT_BINUNICODE + bytes([len(t)]) + t.encode() for t in (module, name)]
    inner = pickle.dumps(arguments, protocol=4)[2:-1]
    call = inner + pickle.REDUCE
    return pickle.PROTO + b"\x04" + b"".join(text) + pickle.STACK_GLOBAL + call + pickle.STOP


def learned(model: Any, task: Task = Task.BINARY) -> Any:
    """Return `model` after 300 seeded examples."""
    rng = random.Random(7)
    for _ in range(300):
        x = {"a": rng.random(), "b": rng.random(), "c": rng.random()}
        if task is Task.ANOMALY:
            model.learn_one(x)
        elif task is Task.REGRESSION:
            model.learn_one(x, 3 * x["a"] + x["b"])
        else:
            model.learn_one(x, x["a"] + x["b"] > 1)
    return model


CLASSIFIERS = {
    "logistic_regression": preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "alma": linear_model.ALMAClassifier(),
    "pa": linear_model.PAClassifier(),
    "gaussian_naive_bayes": naive_bayes.GaussianNB(),
    "hoeffding_tree": tree.HoeffdingTreeClassifier(grace_period=50),
    "hoeffding_adaptive_tree": tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, seed=1),
    "random_forest": forest.ARFClassifier(n_models=3, seed=1),
    "mondrian_forest": forest.AMFClassifier(n_estimators=3, seed=1),
    "leveraging_bagging": ensemble.LeveragingBaggingClassifier(
        linear_model.LogisticRegression(), n_models=3, seed=1
    ),
    "knn": neighbors.KNNClassifier(),
    "one_vs_rest": multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    "softmax": linear_model.SoftmaxRegression(),
    "no_change": dummy.NoChangeClassifier(),
    "prior": dummy.PriorClassifier(),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_comes_back(name: str) -> None:
    """A classifier predicts after loading what it predicted before."""
    model = learned(CLASSIFIERS[name].clone())
    again = snapshot.load(snapshot.dump(model, KEY), KEY)
    x = {"a": 0.4, "b": 0.7, "c": 0.1}
    assert again.predict_one(x) == model.predict_one(x)
    assert again.learn_one(x, True) is None


@pytest.mark.parametrize(
    "model",
    [
        preprocessing.StandardScaler() | linear_model.LinearRegression(),
        tree.HoeffdingTreeRegressor(grace_period=50),
        forest.ARFRegressor(n_models=2, seed=1),
        preprocessing.TargetStandardScaler(linear_model.LinearRegression()),
        linear_model.BayesianLinearRegression(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_regressor_comes_back(model: Any) -> None:
    """A regressor predicts after loading what it predicted before, to the last bit."""
    learned(model, Task.REGRESSION)
    again = snapshot.load(snapshot.dump(model, KEY), KEY)
    x = {"a": 0.4, "b": 0.7, "c": 0.1}
    assert again.predict_one(x) == model.predict_one(x)


@pytest.mark.parametrize("numeric", [True, False], ids=["numbers", "text"])
@pytest.mark.parametrize(("task", "name"), [(t, n) for t in Task for n in catalogue.names(t)])
def test_the_whole_catalogue_comes_back(task: Task, name: str, numeric: bool) -> None:
    """Every model of the catalogue, for numbers and for text, has only parts that may load."""
    model = learned(catalogue.factory(name, task, numeric)(), task)
    again = snapshot.load(snapshot.dump(model, KEY), KEY)
    x = {"a": 0.4, "b": 0.7, "c": 0.1}
    ask = "score_one" if task is Task.ANOMALY else "predict_one"
    assert getattr(again, ask)(x) == getattr(model, ask)(x)


def test_anomaly_detector_comes_back() -> None:
    """Half-space trees score after loading as before."""
    model = learned(
        anomaly.HalfSpaceTrees(n_trees=3, height=4, window_size=50, seed=1), Task.ANOMALY
    )
    again = snapshot.load(snapshot.dump(model, KEY), KEY)
    x = {"a": 0.4, "b": 0.7, "c": 0.99}
    assert again.score_one(x) == model.score_one(x)


@pytest.mark.parametrize(
    "detector",
    [drift.ADWIN(), drift.KSWIN(seed=1), drift.PageHinkley(), drift.binary.DDM()],
    ids=lambda detector: type(detector).__name__,
)
def test_detector_comes_back(detector: Any) -> None:
    """A loaded detector fires at the same value as the one that was never saved."""
    rng = random.Random(3)
    for _ in range(1000):
        detector.update(rng.random() < 0.1)
    again = snapshot.load(snapshot.dump(detector, KEY), KEY)
    fired: list[list[int]] = [[], []]
    values = [rng.random() < 0.9 for _ in range(500)]
    for which, one in enumerate((detector, again)):
        state = random.getstate()
        for position, value in enumerate(values):
            one.update(value)
            if one.drift_detected:
                fired[which].append(position)
        random.setstate(state)
    assert fired[0] == fired[1] != []


def test_metrics_come_back() -> None:
    """Metrics, rolling ones too, go on from where they were."""
    metric = metrics.Accuracy() + metrics.F1()
    rolling = utils.Rolling(metrics.Accuracy, window_size=2)
    for truth, guess in [(True, True), (False, True), (True, True)]:
        metric.update(truth, guess)
        rolling.update(truth, guess)
    metric_again, rolling_again = snapshot.load(snapshot.dump([metric, rolling], KEY), KEY)
    assert metric_again.get() == metric.get()
    rolling_again.update(True, False)
    assert rolling_again.get() == 0.5


def test_text_features_come_back() -> None:
    """A bag of words, which holds methods of text and a function of River's, comes back."""
    model = feature_extraction.BagOfWords(tokenizer=re.compile(r"\w+").findall)
    assert [step for step in model.processing_steps if step == str.lower]
    again = snapshot.load(snapshot.dump(model, KEY), KEY)
    assert again.transform_one("one two two") == {"one": 1, "two": 2}


def test_random_generators_come_back() -> None:
    """Seeded generators of Python and NumPy continue their sequence."""
    state = {
        "python": random.Random(1),
        "numpy": np.random.default_rng(1),
        "legacy": np.random.RandomState(1),
    }
    again = snapshot.load(snapshot.dump(state, KEY), KEY)
    assert again["python"].random() == state["python"].random()
    assert again["numpy"].random() == state["numpy"].random()
    assert again["legacy"].rand() == state["legacy"].rand()


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(plain)
def test_plain_values_come_back(value: object) -> None:
    """Any nest of plain values comes back equal."""
    assert snapshot.load(snapshot.dump(value, KEY), KEY) == value


@pytest.mark.parametrize(
    "value",
    [
        Counter("abca"),
        defaultdict(int, a=1),
        deque([1, 2], maxlen=3),
        datetime(2024, 2, 29, tzinfo=UTC),
        timedelta(days=1),
        Task.ANOMALY,
        np.float64(0.5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_listed_types_come_back(value: object) -> None:
    """The types that state is made of come back equal, and of the same type."""
    again = snapshot.load(snapshot.dump(value, KEY), KEY)
    assert again == value
    assert type(again) is type(value)


def test_arrays_come_back() -> None:
    """Arrays of any layout come back."""
    array = np.arange(6.0).reshape(2, 3).T
    assert np.array_equal(snapshot.load(snapshot.dump(array, KEY), KEY), array)


class Reduced:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


MALICIOUS: dict[str, bytes] = {
    "os.system by reduce": pickle.dumps(Reduced(os.system, "touch {path}")),
    "subprocess": pickle.dumps(Reduced(subprocess.call, ["touch", "{path}"])),
    "eval": pickle.dumps(Reduced(eval, "open('{path}', 'w')")),
    "exec": pickle.dumps(Reduced(exec, "open('{path}', 'w')")),
    "open": pickle.dumps(Reduced(open, "{path}", "w")),
    "import": pickle.dumps(Reduced(builtins.__import__, "antigravity")),
    "attrgetter": pickle.dumps(Reduced(attrgetter("__class__"), "x")),
    "getattr of a dunder": pickle.dumps(Reduced(getattr, "x", "__class__")),
    "getattr of a class": pickle.dumps(Reduced(getattr, metrics.Accuracy, "__subclasses__")),
    "getattr of text": pickle.dumps(Reduced(getattr, "{0}", "format")),
    "partial": pickle.dumps(partial(os.system, "touch {path}")),
    "nested pickle": pickle.dumps(Reduced(pickle.loads, pickle.dumps(1))),
    "dotted through river": named("river.utils.pandas", "importlib.util.sys.exit", 1),
    "dotted through a stream": named("river.stream.cache", "os.system", "touch {path}"),
    "module left in a module": named("river.stream.cache", "pickle"),
    "function left in a module": named("millrace.models.pipeline.definition", "replace"),
    "dotted to a dunder": named("river.metrics", "Accuracy.__init__.__globals__"),
    "dotted through our own": named("millrace.streams.state.snapshot", "pickle.loads", b""),
    "look-alike package": named("riverside", "anything"),
    "river's own file reader": named("river.stream", "iter_csv", "{path}"),
    "river's cache": named("river.stream.cache", "Cache", "{path}"),
    "river's downloads": named("river.datasets.credit_card", "CreditCard"),
    "our own loader": named("millrace.models.pipeline.loading", "load_pipeline", "{path}"),
    "our own functions": named("millrace.schemas.files", "shipped", "label"),
    "our own unpickler": named("millrace.streams.state.snapshot", "_Unpickler", b"", ()),
}


@FORMS
@pytest.mark.parametrize("pickled", MALICIOUS.values(), ids=MALICIOUS.keys())
def test_a_signed_pickle_cannot_run_code(
    pickled: bytes, form: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Even who has the key cannot have code run: the allow-list refuses it before the call."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SnapshotError, match="may hold parts of River, of Millrace and of"):
        snapshot.load(form(pickled), KEY)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_unpickled_before_the_signature_is_checked(tmp_path: Any) -> None:
    """A pickle under a wrong signature is refused for the signature: it was never opened."""
    data = forged(pickle.dumps(Reduced(os.mkdir, str(tmp_path / "made"))))
    with pytest.raises(SnapshotError, match="MILLRACE_STATE_KEY"):
        snapshot.load(data, b"another key")
    assert not (tmp_path / "made").exists()


def test_every_byte_is_signed() -> None:
    """Whichever byte is changed, the snapshot is refused."""
    data = snapshot.dump({"x": 1}, KEY)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(SnapshotError):
            snapshot.load(bytes(changed), KEY)


def test_every_truncation_is_refused() -> None:
    """Wherever the snapshot is cut off, and when bytes are added, it is refused."""
    data = snapshot.dump({"x": 1}, KEY)
    for size in range(len(data)):
        with pytest.raises(SnapshotError):
            snapshot.load(data[:size], KEY)
    with pytest.raises(SnapshotError, match="signature does not match this key"):
        snapshot.load(data + b"\0", KEY)


def test_what_to_do_about_another_key_is_not_hidden() -> None:
    """The message names the setting in a way that does not look like a secret."""
    with pytest.raises(SnapshotError) as caught:
        snapshot.load(snapshot.dump({"x": 1}, KEY), b"another")
    assert "another MILLRACE_STATE_KEY, so set that one" in redact(str(caught.value))


def test_unsigned_pickle_is_refused() -> None:
    """A bare pickle is not a snapshot."""
    with pytest.raises(SnapshotError, match="must be signed; got"):
        snapshot.load(pickle.dumps({"x": 1}), KEY)


def test_other_key_is_refused_with_the_fix() -> None:
    """A snapshot of another key names the setting that holds the key."""
    with pytest.raises(SnapshotError, match="MILLRACE_STATE_KEY"):
        snapshot.load(snapshot.dump(1, b"another key"), KEY)


@pytest.mark.parametrize("size", [0, 1])
def test_empty_key_is_refused(size: int) -> None:
    """There is no snapshot without a key, neither written nor read."""
    with pytest.raises(SnapshotError, match="must be signed with a key"):
        snapshot.dump(1, b"")
    with pytest.raises(SnapshotError, match="must be signed with a key"):
        snapshot.load(snapshot.dump(1, KEY) * size, b"")


@pytest.mark.parametrize("version", [0, 99, None])
def test_another_form_is_refused_before_unpickling(version: object) -> None:
    """State of another version is refused by that, with the way out."""
    evil = pickle.dumps(Reduced(os.system, "false"))
    with pytest.raises(SnapshotError, match=f"state of version {version}.*start over"):
        snapshot.load(forged(evil, state=version), KEY)


OTHERS = [{"river": "0.1.0"}, {"python": "2.7"}, {"river": None}]


@FORMS
@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_what_another_river_or_python_has_written_is_read(
    other: dict[str, Any], form: Callable[..., bytes]
) -> None:
    """Most of it has not changed."""
    model = linear_model.LogisticRegression()
    model.learn_one({"x": 1.0}, True)
    loaded = snapshot.load(form(pickle.dumps(model, protocol=5), **other), KEY)
    assert loaded.weights == model.weights


@pytest.mark.parametrize("other", OTHERS, ids=str)
@pytest.mark.parametrize(
    "gone",
    [
        named("river.linear_model.log_reg", "Gone"),
        named("river.gone", "Model"),
        named("river.linear_model", "LogisticRegression"),  # moved, and still found there
        named("collections", "deque", 1, 2, 3),
    ],
    ids=["class", "module", "moved", "arguments"],
)
def test_what_only_another_version_can_read_is_lost(other: dict[str, Any], gone: bytes) -> None:
    """That is said apart from what is wrong, with all four versions."""
    with pytest.raises(LostError, match=r"written with river .* cannot be read with river 0"):
        snapshot.load(forged(gone, **other), KEY)
    with pytest.raises(LostError, match=r"written with river .* cannot be read with river 0"):
        snapshot.load(sealed(gone, **other), KEY)
    with pytest.raises(SnapshotError) as raised:
        snapshot.load(forged(gone), KEY)
    assert type(raised.value) is not LostError


@FORMS
@pytest.mark.parametrize("other", OTHERS, ids=str)
@pytest.mark.parametrize("make", [linear_model.LogisticRegression, catalogue.hoeffding_tree])
def test_what_lacks_an_attribute_of_this_version_is_lost(
    other: dict[str, Any], make: Callable[[], Any], form: Callable[..., bytes]
) -> None:
    """It would load, and fail at its first prediction."""
    model = make()
    model.learn_one({"x": 1.0}, True)
    whole = form(pickle.dumps([model], protocol=5), **other)
    assert snapshot.load(whole, KEY)[0].predict_one({"x": 1.0}) is not None
    gone = min(vars(type(model)()))
    del vars(model)[gone]
    with pytest.raises(LostError, match=rf"river 0.* python .*: state\[0\].* has no {gone}$"):
        snapshot.load(form(pickle.dumps([model], protocol=5), **other), KEY)


@pytest.mark.parametrize("name", sorted({*catalogue.__all__} - {"factory", "names"}))
@pytest.mark.parametrize("examples", [0, 60])
def test_what_is_whole_is_not_lost(name: str, examples: int) -> None:
    """No model of the catalogue is taken for broken, trained or not."""
    model = getattr(catalogue, name)()
    for number in range(examples):
        x = {"a": float(number % 7), "b": float(number % 3)}
        model.learn_one(x, number % 2 == 0) if model._supervised else model.learn_one(x)
    data = sealed(pickle.dumps(model, protocol=5), river="0.25.0")
    assert type(snapshot.load(data, KEY)) is type(model)


def test_what_fails_when_it_is_asked_is_lost() -> None:
    """River 0.25 wrote pipelines with a plan that 0.26 does not understand: all else was there."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    model.learn_one({"x": 1.0}, True)
    del model._last_step_params
    with pytest.raises(LostError, match=r"state\[0\] answers .*_last_step_params"):
        snapshot.load(forged(pickle.dumps([model], protocol=5), river="0.25.0"), KEY)


@FORMS
@pytest.mark.parametrize("other", [{}, *OTHERS], ids=str)
def test_what_is_not_rivers_is_refused_in_any_version(
    users: ModuleType, other: dict[str, Any], form: Callable[..., bytes]
) -> None:
    """The user's own code is to be allowed, and nothing is lost for want of it."""
    for evil in (named("os", "system", "false"), named("users_pipeline", "Kept")):
        with pytest.raises(SnapshotError) as raised:
            snapshot.load(form(evil, **other), KEY)
        assert not isinstance(raised.value, LostError)


@pytest.mark.parametrize(
    "gone", [("users_pipeline", "Gone"), ("users_pipeline.gone", "Kept"), ("nowhere", "Kept")]
)
def test_a_class_of_the_users_that_is_gone_is_lost(
    users: ModuleType, gone: tuple[str, str]
) -> None:
    """Its code need not be put back, where it is sealed; an entry of earlier releases needs it."""
    with pytest.raises(LostError, match=re.escape(".".join(gone))):
        snapshot.load(sealed(named(*gone)), KEY, allow=["users_pipeline"])
    with pytest.raises(SnapshotError) as raised:
        snapshot.load(forged(named(*gone)), KEY, allow=["users_pipeline"])
    assert not isinstance(raised.value, LostError)


@FORMS
def test_a_class_of_a_bundle_that_is_not_loaded_is_refused(form: Callable[..., bytes]) -> None:
    """It is not gone: nothing is lost because a worker could not load a definition."""
    with pytest.raises(SnapshotError, match="there is no millrace_bundle") as raised:
        snapshot.load(form(named("millrace_bundle.0b5c.shop", "Model"), river="0.0.1"), KEY)
    assert not isinstance(raised.value, LostError)


def test_what_fails_in_the_same_version_is_lost() -> None:
    """Whatever a part raises: what is around it goes on."""
    with pytest.raises(LostError, match="TypeError"):
        snapshot.load(sealed(named("collections", "deque", 1, 2, 3)), KEY)


def test_other_format_is_refused() -> None:
    """A snapshot of another layout is refused by its version."""
    data = bytearray(snapshot.dump(1, KEY))
    data[PREFIX_SIZE - 1] = 99
    with pytest.raises(SnapshotError, match="format version 2 or less; got 99"):
        snapshot.load(bytes(data), KEY)


def test_code_that_does_not_fit_is_one_error() -> None:
    """A class that no longer takes what was saved is a SnapshotError, whatever it raised."""
    with pytest.raises(SnapshotError, match="does not fit the code: TypeError"):
        snapshot.load(forged(named("collections", "deque", 1, 2, 3)), KEY)


def test_parts_without_a_name_are_refused_when_written() -> None:
    """A lambda cannot be loaded again, and so is refused when it is saved."""
    with pytest.raises(SnapshotError, match="at the top of a module"):
        snapshot.dump({"function": lambda x: x}, KEY)


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return an importable module of a user's, with a class and a function."""
    module = ModuleType("users_pipeline")
    source = "import os\nclass Kept:\n    x = 1\ndef double(x):\n    return 2 * x\n"
    exec(source, module.__dict__)
    monkeypatch.setitem(__import__("sys").modules, "users_pipeline", module)
    return module


def test_users_module_is_refused_unless_allowed(users: ModuleType) -> None:
    """A user's class and function load only where their module is allowed."""
    data = snapshot.dump([users.Kept, users.double], KEY)
    with pytest.raises(SnapshotError, match=r"got users_pipeline\.Kept.*pipeline's module"):
        snapshot.load(data, KEY)
    kept, double = snapshot.load(data, KEY, allow=["users_pipeline"])
    assert (kept.x, double(2)) == (1, 4)


def test_users_module_does_not_lead_further(users: ModuleType) -> None:
    """What an allowed module imported is not allowed by that."""
    assert users.os is os
    evil = forged(named("users_pipeline", "os.system", "false"))
    with pytest.raises(SnapshotError, match="may hold parts of"):
        snapshot.load(evil, KEY, allow=["users_pipeline"])


def test_bytes_are_written_as_they_are() -> None:
    """What an operator has made bytes of is signed, and neither pickled nor stamped."""
    data = snapshot.dump(b"\x01 as it is", KEY)
    assert verified(data, KEY) == b"D\x01 as it is"
    assert snapshot.load(data, KEY) == b"\x01 as it is"
    assert snapshot.load(snapshot.dump(b"", KEY), KEY) == b""
