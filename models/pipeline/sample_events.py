"""Made-up events of a pipeline and their feature vectors, to compare two models by.

The events follow the pipeline's own schema and pass through its own features. So the vectors have
the names and the types that its models know, and are the same wherever the definition is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from millrace.models.features.base import Extract, Store
from millrace.models.pipeline.definition import Pipeline
from millrace.models.user_code import PASSED_ON
from millrace.schemas.codec.types import Enum, Record, Type, branches_of, kind_of
from millrace.schemas.paths import take
from millrace.schemas.records import Event, Features

SAMPLE_SIZE = 64
_SEED = 20_250_303
_START_MS = 1_740_960_000_000  # 3 March 2025
_GAP_MS = 1_000
_MOST_LEVELS = 8
_WORDS = ("", "a", "b", "c", "north", "south")


def sample_vectors(
    pipeline: Pipeline,
    stores: Callable[[Store[Any]], dict[str, Any]] = lambda _: {},
    note: Callable[[str, BaseException], object] = lambda *_: None,
) -> list[Features]:
    """Return 64 feature vectors of a pipeline, the same ones at every call.

    A feature whose code raises for a made-up event is absent from the event's vector.

    Parameters
    ----------
    pipeline
        The definition.
    stores
        Gives the features their stores; by default a new one to each.
    note
        Called with the first name of a feature and what it raised.
    """
    random = Random(_SEED)  # noqa: S311 - repeatable, no secret
    extractors = [("".join(each.names[:1]), each.bind(stores)) for each in pipeline.features]
    return [
        _vector(_event(pipeline, index, random), extractors, note) for index in range(SAMPLE_SIZE)
    ]


def _vector(
    event: Event,
    extractors: Iterable[tuple[str, Extract]],
    note: Callable[[str, BaseException], object],
) -> Features:
    vector: Features = {}
    for name, extract in extractors:
        try:
            vector.update(extract(event))
        except PASSED_ON:
            raise
        except BaseException as error:  # the user's code need not handle made-up values
            note(name, error)
    return vector


def _event(pipeline: Pipeline, index: int, random: Random) -> Event:
    values = _record(pipeline.event_schema.as_written.type, random)
    if pipeline.label is not None:
        take(values, pipeline.label)
    return {
        "event_id": str(index),
        "key": f"key-{index % 4}",
        "event_time_ms": _START_MS + index * _GAP_MS,
        "label": None,
        "fields": values,
    }


def _record(declared: Record, random: Random, depth: int = 1) -> dict[str, Any]:
    return {name: _value(each, random, depth) for name, each in declared.fields.items()}


def _value(declared: Type, random: Random, depth: int) -> object:
    """Return a value of a field's first type that is not null."""
    branches = [each for each in branches_of(declared) if each != "null"]
    symbols = [symbol for each in branches if isinstance(each, Enum) for symbol in each.symbols]
    if symbols:
        return random.choice(symbols)
    first = branches[0] if branches else "null"
    if isinstance(first, Record):
        return None if depth == _MOST_LEVELS else _record(first, random, depth + 1)
    make = _MAKERS.get(kind_of(first))
    return None if make is None else make(random)


def _number(random: Random) -> float:
    """Return a number of any sign and of a size from hundredths to ten thousands."""
    size: float = 10 ** (random.random() * 6 - 2)
    return size if random.random() < 0.7 else -size


_MAKERS: dict[str, Callable[[Random], object]] = {
    "boolean": lambda random: random.random() < 0.5,
    "int": lambda random: int(_number(random)),
    "long": lambda random: int(_number(random)),
    "float": _number,
    "double": _number,
    "string": lambda random: random.choice(_WORDS),
}
