"""What was renamed since a release wrote its state: exact names of classes, never prefixes.

A pickle names the classes of its objects by module and name. Versions of the state:

1. Millrace 0.1. Classes are under `models`, `schemas` and `streams`, which may be a user's own
   packages today. Attributes that it did not have are added in `__setstate__` of their classes, and
   in `models.candidates.earlier`.
2. All classes are under `millrace`.
3. Waiting events are bytes, in blocks.
4. An entry is data, with sealed parts; up to here, one pickle. What a class saves without a field
   that it has today is brought up to date in its `from_fields`.
"""

from __future__ import annotations

from collections.abc import Mapping

STATE_VERSION = 4
"""Of the state that this release writes. Increment it when a class of the state changes."""

Name = tuple[str, str]
"""Module, and name in it."""

_CANDIDATES = "millrace.models.candidates"

_EARLY: Mapping[Name, Name] = {
    ("millrace.streams.operators.label_join", "Early"): (
        *("millrace.streams.operators.waiting_labels", "Early"),
    ),
}

RENAMED: Mapping[int, Mapping[Name, Name]] = {
    1: {
        ("models.baselines", "AnomalyRate"): (f"{_CANDIDATES}.baselines", "AnomalyRate"),
        ("models.baselines", "LastAnomaly"): (f"{_CANDIDATES}.baselines", "LastAnomaly"),
        ("models.baselines", "LastValue"): (f"{_CANDIDATES}.baselines", "LastValue"),
        ("models.baselines", "MostCommon"): (f"{_CANDIDATES}.baselines", "MostCommon"),
        ("models.candidates", "ModelSet"): (f"{_CANDIDATES}.model_set", "ModelSet"),
        ("models.candidates", "Replacement"): (f"{_CANDIDATES}.earlier", "Replacement"),
        ("models.drift_monitor", "DriftMonitor"): (
            *("millrace.models.monitoring.drift_monitor", "DriftMonitor"),
        ),
        ("models.evaluation", "Prequential"): (f"{_CANDIDATES}.evaluation", "Prequential"),
        ("models.evaluation", "_Scores"): (f"{_CANDIDATES}.scores", "Scores"),
        ("models.linear", "LogisticRegression"): (
            *(f"{_CANDIDATES}.accelerated.linear", "LogisticRegression"),
        ),
        ("models.linear", "StandardScaler"): (
            *(f"{_CANDIDATES}.accelerated.linear", "StandardScaler"),
        ),
        ("models.tasks", "Task"): ("millrace.models.pipeline.tasks", "Task"),
        ("models.trees", "ARFClassifier"): (f"{_CANDIDATES}.accelerated.trees", "ARFClassifier"),
        ("models.trees", "HoeffdingTreeClassifier"): (
            *(f"{_CANDIDATES}.accelerated.trees", "HoeffdingTreeClassifier"),
        ),
        ("models.trees", "_ForestTree"): (f"{_CANDIDATES}.accelerated.trees", "_ForestTree"),
        ("models.trees", "_Gaussian"): (f"{_CANDIDATES}.accelerated.trees", "_Gaussian"),
        ("models.trees", "_Leaf"): (f"{_CANDIDATES}.accelerated.trees", "_Leaf"),
        ("models.trees", "_RandomLeaf"): (f"{_CANDIDATES}.accelerated.trees", "_RandomLeaf"),
        ("models.windows", "Window"): ("millrace.models.features.window", "Window"),
        ("streams.operators.prediction", "Early"): (
            *("millrace.streams.operators.waiting_labels", "Early"),
        ),
        ("streams.operators.prediction", "Waiting"): (
            *("millrace.streams.operators.packing", "Waiting"),
        ),
        ("streams.operators.record", "Origin"): ("millrace.streams.operators.record", "Origin"),
    },
    2: {
        **_EARLY,
        ("millrace.streams.operators.label_join", "Waiting"): (
            *("millrace.streams.operators.packing", "Waiting"),
        ),
    },
    3: _EARLY,
}
"""State version to the names that its pickles use and this release has under another name."""

PICKLED_VERSIONS = frozenset({1, 2, 3})
"""Of which an entry is one pickle."""

READABLE_VERSIONS = PICKLED_VERSIONS | {STATE_VERSION}
