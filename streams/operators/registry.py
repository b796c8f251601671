"""Every operator, in the order in which a record meets them.

A new operator is a module and an entry here: chains, topics, tasks, metrics and saved state
follow from its class. Classes are imported when they are needed, so that reading the settings
does not wait for River.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from millrace.streams.operators.base import Operator

CONTROL, SELECTION = "control", "selection"
BESIDE = (CONTROL, SELECTION)
"""The operators that have agents of their own beside those of every chain."""

_CLASSES: Mapping[str, str] = {
    CONTROL: "ControlOperator",
    SELECTION: "SelectionOperator",
    "ingest": "IngestOperator",
    "feature": "FeatureOperator",
    "prediction": "PredictionOperator",
    "learning": "LearningOperator",
    "drift": "DriftOperator",
}

OPERATORS = tuple(name for name in _CLASSES if name not in BESIDE)
"""Names of those that are chained; each has the module of this package that is called so."""

CHAINED_BY_DEFAULT = frozenset({"learning"})
"""Those that share the agent of the operator before them, in the chain `default`."""


@cache
def operator_class(name: str) -> type[Operator]:
    """Return the class of an operator."""
    module = import_module(f"millrace.streams.operators.{name}")
    found: type[Operator] = getattr(module, _CLASSES[name])
    return found
