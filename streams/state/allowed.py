"""What saved state may consist of: by name, but for River's classes and the pipeline's own.

Nothing here reaches beyond its arguments: no file, no import, no evaluation. A class of Millrace
that an operator or a feature keeps in a store is entered here, or else cannot be read back.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.on_change import as_candidate
from millrace.schemas import SnapshotError
from millrace.streams.state.migrations import Name


def _names(listed: Mapping[str, str]) -> frozenset[Name]:
    return frozenset((module, name) for module, names in listed.items() for name in names.split())


_CANDIDATES = "millrace.models.candidates"

MILLRACE = _names(
    {
        f"{_CANDIDATES}.accelerated.linear": "LogisticRegression Pipeline StandardScaler",
        f"{_CANDIDATES}.accelerated.trees": "ARFClassifier HoeffdingAdaptiveTreeClassifier"
        " HoeffdingTreeClassifier _AdaptiveLeaf _ForestTree _Gaussian _Leaf _RandomLeaf",
        f"{_CANDIDATES}.baselines": "AnomalyRate LastAnomaly LastValue MostCommon",
        f"{_CANDIDATES}.challenger": "Challenger",
        f"{_CANDIDATES}.earlier": "Replacement",
        f"{_CANDIDATES}.evaluation": "Prequential",
        f"{_CANDIDATES}.model_set": "ModelSet",
        f"{_CANDIDATES}.ordered": "ConfusionMatrix NominalSplitter",
        f"{_CANDIDATES}.passive_aggressive": "PassiveAggressiveRegressor",
        f"{_CANDIDATES}.scores": "Scores",
        "millrace.models.features.window": "Window",
        "millrace.models.monitoring.drift_monitor": "DriftMonitor",
        "millrace.models.monitoring.independence": "Independence",
        "millrace.models.selection.trial": "Trial",
        "millrace.streams.operators.packing": "Waiting",
        "millrace.streams.operators.record": "Origin",
        "millrace.streams.operators.waiting_labels": "Early",
    }
)
"""The classes of Millrace that its stores hold."""

CALLED = _names(
    {
        "builtins": "complex range slice",
        "collections": "Counter OrderedDict defaultdict deque",
        "datetime": "date datetime time timedelta timezone",
        "decimal": "Decimal",
        "fractions": "Fraction",
        "functools": "partial",
        f"{_CANDIDATES}.candidate": "Candidate",
        f"{_CANDIDATES}.ordered": "OrderedSet",
        "millrace.models.pipeline.tasks": "Task",
        "numpy.random.bit_generator": "__pyx_unpickle_SeedSequence",
        "random": "Random",
        "re": "_compile",
    }
)
"""What a pickle may call, besides what `unpickling` guards: it makes a value of its arguments."""

HELD = _names(
    {
        "builtins": "bool bytearray bytes dict float frozenset int list object set str tuple",
        "collections": "ChainMap UserDict UserList",
        "copy": "deepcopy",
        "numbers": "Integral Number Real",
        "numpy": "array ndarray ones",
        "numpy.random._mt19937": "MT19937",
        "numpy.random._pcg64": "PCG64 PCG64DXSM",
        "numpy.random._philox": "Philox",
        "numpy.random._sfc64": "SFC64",
        "numpy.random.bit_generator": "SeedSequence",
        "re": "Pattern",
        "statistics": "NormalDist",
        "uuid": "UUID",
    }
)
"""Classes and functions that a value may be of or refer to, and that a pickle may not call."""

RIVER = "river"
RIVERS_COMPILED = "river._river_rust"
WITHHELD = frozenset(
    {"checks", "compat", "conftest", "datasets", "evaluate", "stream", "test_estimators"}
)
"""Parts of River that read or write files, fetch, or run code when they are called."""


class RefusedPartError(SnapshotError):
    """A name that is no part of a model's state."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(
            "a snapshot may hold parts of River, of Millrace and of the pipeline's own module;"
            f" got {module}.{name}. If it belongs to the model, define it in the pipeline's module"
        )
        package = module.partition(".")[0]
        self.is_rivers = package == RIVER
        self.is_gone = package.isidentifier() and not _is_there(package)


def _is_there(package: str) -> bool:
    return package in sys.modules or find_spec(package) is not None


def is_in(module: str, packages: Collection[str]) -> bool:
    """Whether a module is one of these packages, or in one.

    Examples
    --------
    >>> is_in("river.tree", ["river"]), is_in("riverside", ["river"])
    (True, False)
    """
    return any(module == each or module.startswith(f"{each}.") for each in packages)


def own_modules(pipeline: Pipeline) -> frozenset[str]:
    """Return the modules besides Millrace's and River's whose classes and functions state may hold.

    They are those that define the models, their parts, the features, metrics and detectors, and
    whatever of the same folder they have imported.
    """
    detectors = [each for _, each in pipeline.drift.detectors() if not isinstance(each, str)]
    models = [as_candidate(each).factory for each in pipeline.models.values()]
    given = [*models, *(pipeline.metrics or {}).values(), *detectors]
    factories = [getattr(each, "func", each) for each in given]
    parts = _Parts()
    for each in models:
        parts.note(each())
    names = {
        each.__module__ for each in (*factories, *map(type, pipeline.features))
    } | parts.modules
    found = {name for name in names if not _is_known(name)}
    unread = [*found]
    while unread:
        for name in _imported_beside(unread.pop()):
            if name not in found and not _is_known(name):
                found.add(name)
                unread.append(name)
    return frozenset(found)


class _Parts(pickle.Pickler):
    """Notes where the classes and functions that objects consist of are defined."""

    def __init__(self) -> None:
        super().__init__(BytesIO(), protocol=5)
        self.modules: set[str] = set()

    def note(self, model: object) -> None:
        with suppress(Exception):  # what cannot be pickled is said when it is saved
            self.dump(model)

    def reducer_override(self, part: object) -> Any:
        is_named = isinstance(part, type | FunctionType)
        self.modules.add(_home(part if is_named else type(part)))
        return NotImplemented


def _is_known(module: str) -> bool:
    """Whether a module is Python's own, or one of which `allowed` says what state may hold."""
    package = module.partition(".")[0]
    return package in ("", "millrace", RIVER, "numpy") or package in sys.stdlib_module_names


def _imported_beside(name: str) -> Iterator[str]:
    """Yield the modules that a module has imported, or names of, from its folder or below."""
    folder = _folder(name)
    for value in [*vars(sys.modules.get(name, ModuleType(name))).values()]:
        other = value.__name__ if isinstance(value, ModuleType) else _home(value)
        there = _folder(other)
        if folder is not None and there is not None and there.is_relative_to(folder):
            yield other


def _home(value: object) -> str:
    home = getattr(value, "__module__", None)
    return home if isinstance(home, str) else ""


def _folder(name: str) -> Path | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    return None if file is None or "site-packages" in file else Path(file).parent
