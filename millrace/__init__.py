"""Millrace: online machine learning on Kafka.

Everything that a user imports is here, and nothing else is public::

    from millrace import Pipeline, catalogue, fields, rolling

A name is imported from its module when it is first used, so that `millrace --help` does not wait
for River and pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.models.candidates import catalogue
    from millrace.models.certainty.conformal import Conformal
    from millrace.models.features import (
        Feature,
        StatelessFeature,
        Store,
        calendar,
        derived,
        fields,
        rolling,
    )
    from millrace.models.monitoring.drift import DriftPolicy, DriftSettings
    from millrace.models.pipeline.definition import OnError, Pending, Pipeline, Scope
    from millrace.models.pipeline.label_conflicts import LabelConflicts
    from millrace.models.pipeline.label_default import LabelDefault
    from millrace.models.pipeline.loading import load_pipeline
    from millrace.models.pipeline.on_change import Candidate, OnChange
    from millrace.models.pipeline.record_parts import (
        Attribute,
        Header,
        MessageKey,
        PayloadHash,
        TopicPartitionOffset,
    )
    from millrace.models.pipeline.sources import LabelSource, OnUpdate, Source
    from millrace.models.pipeline.tasks import Task
    from millrace.models.reasons.explainer import Explainer, explainer
    from millrace.models.reasons.reasons import NoReasons, Reasons
    from millrace.models.selection.promotion import Promotion, PromotionPolicy
    from millrace.schemas.errors import (
        BrokerError,
        DefinitionError,
        MillraceError,
        RecordError,
        SettingsError,
        SnapshotError,
    )
    from millrace.streams.client.asynchronous import AsyncClient
    from millrace.streams.client.blocking import Client
    from millrace.streams.client.errors import (
        ClientError,
        DuplicateError,
        ForbiddenError,
        RefusedError,
        UnavailableError,
        UnknownPredictionError,
    )
    from millrace.streams.client.events import Followed, Gap
    from millrace.streams.replay.in_memory import Result, run

_MODULES = {
    "millrace.models.candidates": ("catalogue",),
    "millrace.models.certainty.conformal": ("Conformal",),
    "millrace.models.pipeline.tasks": ("Task",),
    "millrace.models.features": (
        *("Feature", "StatelessFeature", "Store"),
        *("calendar", "derived", "fields", "rolling"),
    ),
    "millrace.models.monitoring.drift": ("DriftPolicy", "DriftSettings"),
    "millrace.models.pipeline.definition": ("OnError", "Pending", "Pipeline", "Scope"),
    "millrace.models.pipeline.label_conflicts": ("LabelConflicts",),
    "millrace.models.pipeline.label_default": ("LabelDefault",),
    "millrace.models.pipeline.loading": ("load_pipeline",),
    "millrace.models.pipeline.on_change": ("Candidate", "OnChange"),
    "millrace.models.pipeline.record_parts": (
        *("Attribute", "Header", "MessageKey"),
        *("PayloadHash", "TopicPartitionOffset"),
    ),
    "millrace.models.pipeline.sources": ("LabelSource", "OnUpdate", "Source"),
    "millrace.models.reasons.explainer": ("Explainer", "explainer"),
    "millrace.models.reasons.reasons": ("NoReasons", "Reasons"),
    "millrace.models.selection.promotion": ("Promotion", "PromotionPolicy"),
    "millrace.schemas.errors": (
        *("BrokerError", "DefinitionError", "MillraceError"),
        *("RecordError", "SettingsError", "SnapshotError"),
    ),
    "millrace.streams.client.asynchronous": ("AsyncClient",),
    "millrace.streams.client.blocking": ("Client",),
    "millrace.streams.client.errors": (
        *("ClientError", "DuplicateError", "ForbiddenError"),
        *("RefusedError", "UnavailableError", "UnknownPredictionError"),
    ),
    "millrace.streams.client.events": ("Followed", "Gap"),
    "millrace.streams.replay.in_memory": ("Result", "run"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AsyncClient",
    "Attribute",
    "BrokerError",
    "Candidate",
    "Client",
    "ClientError",
    "Conformal",
    "DefinitionError",
    "DriftPolicy",
    "DriftSettings",
    "DuplicateError",
    "Explainer",
    "Feature",
    "Followed",
    "ForbiddenError",
    "Gap",
    "Header",
    "LabelConflicts",
    "LabelDefault",
    "LabelSource",
    "MessageKey",
    "MillraceError",
    "NoReasons",
    "OnChange",
    "OnError",
    "OnUpdate",
    "PayloadHash",
    "Pending",
    "Pipeline",
    "Promotion",
    "PromotionPolicy",
    "Reasons",
    "RecordError",
    "RefusedError",
    "Result",
    "Scope",
    "SettingsError",
    "SnapshotError",
    "Source",
    "StatelessFeature",
    "Store",
    "Task",
    "TopicPartitionOffset",
    "UnavailableError",
    "UnknownPredictionError",
    "calendar",
    "catalogue",
    "derived",
    "explainer",
    "fields",
    "load_pipeline",
    "rolling",
    "run",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'millrace' has no attribute {name!r}")
    module = import_module(home)
    found = globals()[name] = getattr(module, name, None) or import_module(f"{home}.{name}")
    return found


def __dir__() -> list[str]:
    return [*__all__]
