"""Millrace's own schemas, and the versions of them that earlier releases wrote.

`<name>.avsc` is today's schema; `versions/<name>.<n>.avsc` is one that an earlier release wrote
records with. A new version needs no more than its file there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, overload

from millrace.schemas.codec.avro import AvroType, Schema
from millrace.schemas.records import (
    AcceptedCommand,
    Alert,
    Audit,
    Command,
    Evaluation,
    Example,
    FeatureVector,
    Label,
    ModelSnapshot,
    Outcome,
    Prediction,
    Reject,
)

_FOLDER = Path(__file__).parent


def current(name: str) -> Schema:
    """Return the schema in `schemas/<name>.avsc`."""
    return _load(_FOLDER / f"{name}.avsc")


def earlier(name: str) -> list[Schema]:
    """Return the schemas of earlier releases; empty where today's is the first."""
    return [_load(each) for each in sorted(_FOLDER.glob(f"versions/{name}.*.avsc"))]


def schema_files() -> dict[str, str]:
    """Return the text of each schema by the name of its file: today's, then earlier ones."""
    files = [each for pattern in ("*.avsc", "versions/*.avsc") for each in _FOLDER.glob(pattern)]
    ordered = sorted(files, key=lambda each: (len(each.parts), each.name))
    return {each.relative_to(_FOLDER).as_posix(): each.read_text() for each in ordered}


def _load(file: Path) -> Schema:
    schema: Schema = json.loads(file.read_text())
    return schema


@overload
def shipped(name: Literal["accepted_command"]) -> AvroType[AcceptedCommand]: ...
@overload
def shipped(name: Literal["alert"]) -> AvroType[Alert]: ...
@overload
def shipped(name: Literal["audit"]) -> AvroType[Audit]: ...
@overload
def shipped(name: Literal["command"]) -> AvroType[Command]: ...
@overload
def shipped(name: Literal["evaluation"]) -> AvroType[Evaluation]: ...
@overload
def shipped(name: Literal["example"]) -> AvroType[Example]: ...
@overload
def shipped(name: Literal["feature_vector"]) -> AvroType[FeatureVector]: ...
@overload
def shipped(name: Literal["label"]) -> AvroType[Label]: ...
@overload
def shipped(name: Literal["model_snapshot"]) -> AvroType[ModelSnapshot]: ...
@overload
def shipped(name: Literal["outcome"]) -> AvroType[Outcome]: ...
@overload
def shipped(name: Literal["prediction"]) -> AvroType[Prediction]: ...
@overload
def shipped(name: Literal["reject"]) -> AvroType[Reject]: ...
@overload
def shipped(name: str) -> AvroType[Mapping[str, object]]: ...
@cache
def shipped(name: str) -> object:
    """Return the type that `schemas/<name>.avsc` describes; it reads earlier versions, too."""
    return AvroType(current(name), earlier(name))


@cache
def versions(name: str) -> tuple[AvroType[Mapping[str, object]], ...]:
    """Return the types of earlier releases, each as it was written, and today's, which is last."""
    return (*map(AvroType, earlier(name)), shipped(name))
