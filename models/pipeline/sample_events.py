"""A fixed set of feature vectors, to ask two models the same questions.

The vectors come from made-up events of the pipeline's own schema, passed through the pipeline's
own features. So they have the names and the types that its models know, and are the same
wherever the definition is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from millrace.models.features.window import Window
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Event, Features

PROBE_SIZE = 64
_SEED = 20_250_303
_START_MS = 1_740_960_000_000  # 3 March 2025
_GAP_MS = 1_000
_WORDS = ("", "a", "b", "c", "north", "south")


def probe(pipeline: Pipeline) -> list[Features]:
    """Return 64 feature vectors of a pipeline, the same ones at every call.

    A feature that a made-up event makes the user's code raise at is absent from its vector.
    """
    random = Random(_SEED)  # noqa: S311 - repeatable, no secret
    windows: dict[str, Window] = {}
    vectors = []
    for index in range(PROBE_SIZE):
        event = _event(pipeline, index, random)
        vector: Features = {}
        for feature in pipeline.features:
            try:
                vector.update(feature.extract(event, windows))
            except Exception:  # noqa: S112 - the user's code need not know made-up values
                continue
        vectors.append(vector)
    return vectors


def _event(pipeline: Pipeline, index: int, random: Random) -> Event:
    schema = pipeline.event_schema
    values = {name: _value(pipeline, name, random) for name in schema.field_names}
    values.pop(pipeline.label or "", None)
    return {
        "event_id": str(index),
        "key": f"key-{index % 4}",
        "event_time_ms": _START_MS + index * _GAP_MS,
        "label": None,
        "fields": values,
    }


def _value(pipeline: Pipeline, name: str, random: Random) -> Any:
    """Return a value of a field's first type that is not null."""
    symbols = pipeline.event_schema.symbols_of(name)
    if symbols:
        return random.choice(symbols)
    kinds = [each for each in pipeline.event_schema.types_of(name) if each != "null"]
    make = _MAKERS.get(kinds[0]) if kinds else None
    return None if make is None else make(random)


def _number(random: Random) -> float:
    """Return a number of any sign and of a size from hundredths to ten thousands."""
    size: float = 10 ** (random.random() * 6 - 2)
    return size if random.random() < 0.7 else -size


_MAKERS: dict[str, Callable[[Random], Any]] = {
    "boolean": lambda random: random.random() < 0.5,
    "int": lambda random: int(_number(random)),
    "long": lambda random: int(_number(random)),
    "float": _number,
    "double": _number,
    "string": lambda random: random.choice(_WORDS),
}
