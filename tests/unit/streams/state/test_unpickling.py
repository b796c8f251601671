"""Whoever has the key can forge state, and still can do nothing but make state."""

from __future__ import annotations

import functools
import importlib
import inspect
import io
import pickle
import pkgutil
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import river
from river import metrics, optim, utils

from millrace import Pipeline, catalogue
from millrace.models.pipeline.loading import load_pipeline
from millrace.models.pipeline.tasks import Task
from millrace.schemas import EventSchema, SnapshotError
from millrace.streams.operators.record import Origin
from millrace.streams.operators.slice import Slice
from millrace.streams.state import snapshot
from millrace.streams.state.allowed import CALLED, MILLRACE, WITHHELD, own_modules
from millrace.streams.state.unpickling import StateUnpickler
from millrace.streams.topology.chain import parse_chain
from millrace.streams.topology.codec import TopicCodec
from millrace.streams.topology.factory import TaskFactory
from tests.unit.streams.released import CASES, NOW_MS, inputs_of, pipeline_of
from tests.unit.streams.state.test_snapshot import forged, sealed

KEY = b"the key of these tests"


def load(pickled: bytes, *own: str) -> Any:
    return StateUnpickler(pickled, own, {}).load()


def program(*instructions: bytes | str | tuple[str, str]) -> bytes:
    """Write a pickle: instructions as they are, texts, and what is named by (module, name)."""
    written = [pickle.PROTO + b"\x05"]
    for each in instructions:
        if isinstance(each, tuple):
            written += [_text(each[0]), _text(each[1]), pickle.STACK_GLOBAL]
        else:
            written.append(_text(each) if isinstance(each, str) else each)
    return b"".join([*written, pickle.STOP])


def _text(text: str) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([len(text.encode())]) + text.encode()


def value(of: object) -> bytes:
    """Return the instructions that make a plain value."""
    return (
        pickle.dumps(of, protocol=5)[2:-1].partition(pickle.FRAME)[2][8:]
        or pickle.dumps(of, protocol=5)[2:-1]
    )


MAE = ("river.metrics.mae", "MAE")
SLOTS = value((None, {"works_with_weights": "changed"}))


@pytest.mark.parametrize(
    "target",
    [
        MAE,
        ("millrace.models.candidates.model_set", "ModelSet"),
        ("collections", "Counter"),
        ("random", "Random"),
        ("river.utils.math", "minkowski_distance"),
        ("river.naive_bayes.gaussian", "GaussianNB._make_gaussian"),
        ("river._river_rust.vectordict", "VectorDict"),
        ("functools", "partial"),
        ("copy", "deepcopy"),
        ("own", "Kept"),
        ("own", "double"),
    ],
    ids=lambda target: target[1],
)
@pytest.mark.parametrize("state", [SLOTS, value({"works_with_weights": "changed"})])
def test_no_class_or_function_is_changed(
    own: object, target: tuple[str, str], state: bytes
) -> None:
    """Neither River's, nor Millrace's, nor the user's own: they are the code that runs."""
    with pytest.raises(SnapshotError, match="must not change"):
        load(program(target, state, pickle.BUILD), "own")
    thing = functools.reduce(getattr, target[1].split("."), importlib.import_module(target[0]))  # type: ignore[arg-type]
    assert getattr(thing, "works_with_weights", None) != "changed"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> object:
    """Return a user's module."""
    module = type(sys)("own")
    source = "import os\nclass Kept:\n    pass\ndef double(x):\n    return 2 * x\n"
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "own", module)
    return module


@pytest.mark.parametrize(
    "name", ["__class__", "__dict__", "__reduce__", "__setstate__", "__call__"]
)
@pytest.mark.parametrize("slots", [True, False])
def test_no_attribute_of_pythons_own_is_set(name: str, slots: bool) -> None:
    """An object is what its class says, whatever its state says."""
    state = {name: 1}
    made = (MAE, pickle.EMPTY_TUPLE, pickle.NEWOBJ)
    with pytest.raises(SnapshotError, match=f"must not set '{name}'"):
        load(program(*made, value((None, state) if slots else state), pickle.BUILD))


CALLS: dict[str, tuple[str, str]] = {
    "a class of River's, with any arguments": MAE,
    "a function of River's": ("river.utils.math", "minkowski_distance"),
    "a static method of River's": ("river.naive_bayes.gaussian", "GaussianNB._make_gaussian"),
    "a class of Millrace's": ("millrace.models.candidates.model_set", "ModelSet"),
    "a user's function": ("own", "double"),
    "deepcopy, which calls what it copies": ("copy", "deepcopy"),
    "bytes, as many as asked for": ("builtins", "bytes"),
    "list, of a range without an end": ("builtins", "list"),
    "an array of any size": ("numpy", "ndarray"),
    "a compiled function": ("river._river_rust.vectordict", "euclidean_distance_dict"),
}


@pytest.mark.parametrize("target", CALLS.values(), ids=CALLS.keys())
def test_what_state_holds_is_not_called(own: object, target: tuple[str, str]) -> None:
    """Only what makes a value of its arguments is."""
    assert load(program(target), "own") is not None
    with pytest.raises(SnapshotError, match="a call of"):
        load(program(target, value((1,)), pickle.REDUCE), "own")


@pytest.mark.parametrize("called", [("builtins", "getattr")])
def test_a_method_that_was_found_is_not_called(called: tuple[str, str]) -> None:
    """Nor one of a user's or of River's objects, which may do more than to be part of state."""
    bound = (called, pickle.MARK, MAE, pickle.EMPTY_TUPLE, pickle.NEWOBJ, "clone", pickle.TUPLE)
    assert load(program(*bound, pickle.REDUCE)).__name__ == "clone"
    with pytest.raises(SnapshotError, match="a call of"):
        load(program(*bound, pickle.REDUCE, pickle.EMPTY_TUPLE, pickle.REDUCE))


REFUSED: dict[str, tuple[str, str]] = {
    "copyreg": ("copyreg", "_reconstructor"),
    "operator": ("operator", "attrgetter"),
    "methodcaller": ("operator", "methodcaller"),
    "reduce": ("functools", "reduce"),
    "eval": ("builtins", "eval"),
    "setattr": ("builtins", "setattr"),
    "type": ("builtins", "type"),
    "map": ("builtins", "map"),
    "vars": ("builtins", "vars"),
    "namedtuple": ("collections", "namedtuple"),
    "code": ("types", "CodeType"),
    "function": ("types", "FunctionType"),
    "a file": ("io", "open"),
    "numpy's loader": ("numpy", "load"),
    "numpy's memmap": ("numpy", "memmap"),
    "numpy's function from a name": ("numpy.f2py", "compile"),
    "a module": ("river", "metrics"),
    "a module of a user's": ("own", "os"),
    "a name through a user's module": ("own", "os.system"),
    "a dunder of a user's": ("own", "Kept.__init__"),
    "builtins of a user's": ("own", "__builtins__"),
    "a metaclass": ("river.base.estimator", "EstimatorMeta"),
    "a name through a class": ("river.metrics.mae", "MAE.__init__.__globals__"),
    "a class where it is not defined": ("river.metrics", "MAE"),
    "our schemas": ("millrace.schemas.event_schema", "EventSchema"),
    "our definitions": ("millrace.models.pipeline.definition", "Pipeline"),
    "our codecs": ("millrace.schemas.codec.codec", "Codec"),
    "our operators": ("millrace.streams.operators.label_join", "LabelJoin"),
}


@pytest.mark.parametrize("target", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_part_of_state_is_refused(own: object, target: tuple[str, str]) -> None:
    """By its name alone, before anything is done with it."""
    with pytest.raises(SnapshotError, match="may hold parts of River, of Millrace and of"):
        load(program(target), "own")


@pytest.mark.parametrize(
    "instructions",
    [
        pickle.PERSID + b"x\n",
        pickle.BINPERSID,
        pickle.EXT1 + b"\x01",
        pickle.EXT4 + b"\x01\0\0\0",
        pickle.GLOBAL + b"os\nsystem\n",
        pickle.INST + b"os\nsystem\n",
        pickle.OBJ,
        pickle.INT + b"9" * 9 + b"\n",
        pickle.UNICODE + b"x\n",
        pickle.NEXT_BUFFER,
        pickle.DUP,
    ],
    ids=lambda code: repr(code[:1]),
)
def test_instructions_that_nothing_is_written_with_are_refused(instructions: bytes) -> None:
    """Persistent ids, extensions, out-of-band buffers and those of old protocols."""
    with pytest.raises(SnapshotError, match="an instruction that none is written with"):
        load(program(pickle.MARK, pickle.NONE, instructions))


@pytest.mark.parametrize(
    "instructions",
    [
        pickle.BYTEARRAY8 + (2**40).to_bytes(8, "little"),
        pickle.BINBYTES8 + (2**40).to_bytes(8, "little"),
        pickle.BINUNICODE8 + (2**40).to_bytes(8, "little"),
        pickle.FRAME + (2**40).to_bytes(8, "little"),
        pickle.LONG4 + (2**31 - 1).to_bytes(4, "little"),
    ],
    ids=lambda code: repr(code[:1]),
)
def test_sizes_that_are_not_there_are_refused(instructions: bytes) -> None:
    """No room is made for more bytes than the snapshot has."""
    with pytest.raises(SnapshotError):
        snapshot.load(forged(program(instructions)), KEY)
    with pytest.raises(SnapshotError):
        snapshot.load(sealed(program(instructions)), KEY)


def test_a_far_place_of_the_memo_takes_no_room() -> None:
    """A number of two billion is one entry."""
    far = pickle.LONG_BINPUT + (2**31).to_bytes(4, "little")
    assert load(program("x", far)) == "x"


def test_deep_nesting_is_no_crash() -> None:
    """A hundred thousand lists in one another are loaded, and freed."""
    depth = 100_000
    made = load(program(pickle.EMPTY_LIST * depth + pickle.APPEND * (depth - 1)))
    assert len(made) == 1


NUMPY: dict[str, tuple[bytes | str | tuple[str, str], ...]] = {
    "an array of objects from bytes": (
        ("numpy", "dtype"),
        value(("O8", False, True)),
        pickle.REDUCE,
        value((3, "|", None, None, None, -1, -1, 0)),  # without the flag of a pointer
        pickle.BUILD,
    ),
    "fields over one another": (
        ("numpy", "dtype"),
        value(("V8", False, True)),
        pickle.REDUCE,
    ),
    "a type by expression": (("numpy", "dtype"), value(("O,i4", False, True)), pickle.REDUCE),
    "a type of a class": (("numpy", "dtype"), MAE, pickle.TUPLE1, pickle.REDUCE),
    "an object as a scalar": (
        *(("numpy._core.multiarray", "scalar"), ("numpy", "dtype"), value(("O8", False, True))),
        *(pickle.REDUCE, value(b"12345678"), pickle.TUPLE2, pickle.REDUCE),
    ),
    "another class as an array": (
        *(("numpy._core.multiarray", "_reconstruct"), MAE, value((2**40,)), value(b"b")),
        *(pickle.TUPLE3, pickle.REDUCE),
    ),
    "a constructor that is called": (
        ("numpy.random._pickle", "__bit_generator_ctor"),
        value(("system",)),
        pickle.REDUCE,
    ),
}


@pytest.mark.parametrize("instructions", NUMPY.values(), ids=NUMPY.keys())
def test_numpy_makes_nothing_but_arrays_of_values(
    instructions: tuple[bytes | str | tuple[str, str], ...],
) -> None:
    """Its types can be told to take bytes as pointers, and its constructors to call others."""
    with pytest.raises(SnapshotError):
        load(program(*instructions))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.array([1, 2], dtype=">i2"),
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.array([b"a"]),
        np.array([1 + 2j], dtype=np.complex64),
        np.array([{"x": 1}, None], dtype=object),
        np.zeros((0, 3)),
        np.arange(10)[::2],
        np.float32(0.5),
        np.int64(7),
        np.bool_(True),
        np.array(5.0),
        np.asfortranarray(np.ones((2, 2))),
    ],
    ids=repr,
)
def test_arrays_and_scalars_come_back(array: Any) -> None:
    """Of any plain type and layout, and of the same type and byte order."""
    again = load(pickle.dumps(array, protocol=5))
    assert np.array_equal(again, array)
    assert (type(again), again.dtype) == (type(array), array.dtype)


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_random_generators_come_back(kind: str) -> None:
    """Each kind goes on with its sequence."""
    generator = np.random.Generator(getattr(np.random, kind)(3))
    again = load(pickle.dumps(generator, protocol=5))
    assert [again.random() for _ in range(5)] == [generator.random() for _ in range(5)]


def parts_of(thing: object) -> set[tuple[str, str]]:
    """Return the classes and functions that a pickle of an object names."""
    named: set[tuple[str, str]] = set()

    class Noting(pickle.Pickler):
        def reducer_override(self, part: object) -> Any:
            home: Any = part if isinstance(part, type | FunctionType) else type(part)
            named.add((home.__module__, home.__qualname__))
            return NotImplemented

    Noting(io.BytesIO(), protocol=5).dump(thing)
    return named


@pytest.mark.parametrize("case", CASES)
def test_state_consists_of_what_is_listed(case: str) -> None:
    """Whatever a pipeline's stores hold, of Millrace it holds only classes that are listed."""
    pipeline, codec = pipeline_of(case), TopicCodec(pipeline_of(case))
    (agent,) = parse_chain("full")
    factory = TaskFactory(
        pipeline, agent, 1, 10**6, lambda _: None, lambda _: pytest.fail("unused"), lambda: NOW_MS
    )
    task, parts = factory.make(), set[tuple[str, str]]()
    for offset, (topic, document) in enumerate(inputs_of(case)):
        origin = Origin(topic, 0, offset, NOW_MS + offset, None, document)
        task.run(Slice([codec.decode(origin)]))
        if offset % 50 == 0:
            for _, store in task.stores():
                for change in store.take_changes():  # type: ignore[attr-defined]
                    parts |= parts_of(change.value)
    ours = {each for each in parts if each[0].startswith("millrace")}
    assert ours - MILLRACE - CALLED == set()
    assert ours


def test_what_is_listed_is_there() -> None:
    """A class that was renamed is not forgotten here."""
    for module, name in MILLRACE | CALLED:
        assert hasattr(importlib.import_module(module), name), (module, name)


def rivers() -> Iterator[type]:
    """Return the classes of River that can be made without arguments, or say how."""
    for found in pkgutil.walk_packages(river.__path__, "river."):
        if not WITHHELD.isdisjoint(found.name.split(".")) or "test" in found.name:
            continue
        try:
            module = importlib.import_module(found.name)
        except ImportError:  # of an optional package
            continue
        for each in vars(module).values():
            if inspect.isclass(each) and each.__module__ == module.__name__:
                yield each


def made_of(cls: Any) -> Iterator[Any]:
    """Return objects of a class, if River says how to make any."""
    try:
        given = [*cls._unit_test_params()] if hasattr(cls, "_unit_test_params") else [{}]
        yield from [cls(**parameters) for parameters in given[:2]]
    except Exception:  # abstract, or with parameters that River's own checks do not know either
        return


def used(thing: Any) -> Any:
    """Return an object after 40 examples, in whatever form it takes them."""
    rng = random.Random(1)
    for _ in range(40):
        x = {name: rng.random() for name in "abc"}
        for arguments in (
            (x, x["a"] > 0.5),
            (x, x["a"]),
            (x,),
            ("a text",),
            (x["a"],),
            (True, False),
        ):
            for method in ("learn_one", "update"):
                try:
                    getattr(thing, method)(*arguments)
                except Exception:
                    continue
                break
            else:
                continue
            break
    return thing


def test_all_of_river_comes_back() -> None:
    """Models, metrics, statistics, detectors: whatever River makes can be loaded."""
    refused: dict[str, str] = {}
    loaded = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cls in rivers():
            for each in made_of(cls):
                try:
                    data = snapshot.dump(used(each), KEY)
                except SnapshotError:
                    continue  # it holds a lambda or an iterator: there is nothing to load
                try:
                    again = snapshot.load(data, KEY)
                except SnapshotError as error:
                    refused[f"{cls.__module__}.{cls.__name__}"] = str(error)
                else:
                    loaded += 1
                    assert type(again) is type(each)
    assert refused == {}
    assert loaded > 250


@pytest.mark.parametrize(
    "thing",
    [
        utils.Rolling(metrics.MAE, window_size=3),
        functools.partial(metrics.MAE),
        [metrics.MAE, Task, optim.losses.Log],
        Task.BINARY,
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_classes_may_be_held(thing: Any) -> None:
    """As values, as which some models hold them."""
    again = load(pickle.dumps(thing, protocol=5))
    assert pickle.dumps(again) == pickle.dumps(thing)


FILES = {
    "pipeline_of_mine.py": """
from millrace import Pipeline, fields
from mine import features
from mine.trees import Grown
import json

def make():
    return Grown()

SCHEMA = {"type": "record", "name": "E", "fields": [
    {"name": "id", "type": "string"}, {"name": "a", "type": "double"},
    {"name": "y", "type": ["null", "boolean"], "default": None}]}
pipeline = Pipeline(name="mine", schema=SCHEMA, event_id="id", label="y", task="binary",
                    features=[fields("a")], models={"own": make})
""",
    "mine/__init__.py": "",
    "mine/features.py": "def double(x):\n    return 2 * x\n",
    "mine/trees.py": """
from river import dummy
from mine.nodes import Node

class Grown(dummy.NoChangeClassifier):
    def __init__(self):
        super().__init__()
        self.nodes = []
    def learn_one(self, x, y):
        self.nodes.append(Node(x))
""",
    "mine/nodes.py": "class Node:\n    def __init__(self, x):\n        self.x = x\n",
}


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """Load a pipeline whose models are of a package beside its file."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = {*sys.modules}
    yield load_pipeline(str(tmp_path / "pipeline_of_mine.py"))
    for name in {*sys.modules} - before:
        del sys.modules[name]


def test_modules_beside_the_pipeline_are_its_own(beside: Pipeline) -> None:
    """What a model is made of, where it is imported from, and what those import in turn."""
    own = own_modules(beside)
    assert {"mine.features", "mine.nodes", "mine.trees"} < own
    assert not any(each.startswith(("json", "millrace", "river")) for each in own)
    model: Any = beside.models["own"]()
    model.learn_one({"a": 1.0}, True)
    again = snapshot.load(snapshot.dump([model, beside.models["own"]], KEY), KEY, own)
    assert again[0].nodes[0].x == {"a": 1.0}


@pytest.mark.parametrize("name", catalogue.names(Task.BINARY))
def test_the_catalogue_needs_no_module_of_the_users(
    make_pipeline: Callable[..., Pipeline], name: str
) -> None:
    """Nothing besides Millrace and River is allowed for its models."""
    pipeline = make_pipeline(models={name: catalogue.factory(name, Task.BINARY)})
    assert own_modules(pipeline) == frozenset()


def test_the_event_schema_is_no_state() -> None:
    """It compiles code of its own: an attribute of it is not set by a pickle."""
    assert (EventSchema.__module__, EventSchema.__qualname__) not in MILLRACE
