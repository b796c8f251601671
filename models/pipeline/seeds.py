"""Seeds for models that were given none.

A model is a function of its definition and a log, and so its random numbers must be the same in
every run. A part with a parameter `seed` that is None gets one, made of its place:
`models['forest']` has the same seed in every process, and two candidates have different ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from random import Random
from zlib import crc32

import numpy as np

from millrace.models.pipeline.model import Model
from millrace.models.pipeline.parts import inner, parts


def missing_seeds(place: str, model: Model) -> Mapping[str, int]:
    """Return the place of each part of a fresh model that has no seed, and the seed that it gets.

    Examples
    --------
    >>> from river.forest import ARFClassifier
    >>> missing_seeds("models['forest']", ARFClassifier())
    {"models['forest'].seed": 947420465}
    >>> missing_seeds("models['forest']", ARFClassifier(seed=1))
    {}
    """
    return {
        f"{where}.seed": _seed(where) for where, part in parts(place, model) if _has_no_seed(part)
    }


def seeded(place: str, model: Model) -> Model:
    """Give a seed to each part of a fresh model that has none, and return the model."""
    for where, part in [*parts(place, model)]:
        if _has_no_seed(part):
            _give(part, _seed(where))
    return model


def _seed(place: str) -> int:
    return crc32(place.encode())


def _has_no_seed(part: object) -> bool:
    if getattr(part, "__dict__", {}).get("seed", 0) is not None:
        return False
    return "seed" in inspect.signature(type(part).__init__).parameters


def _give(part: object, seed: int) -> None:
    """Let a part be as its constructor would have made it with this seed.

    Its generators begin again; what it has learned stays. A part that keeps none has drawn what it
    needs in its constructor, which is called again.
    """
    generators = [each for _, each in inner(part) if isinstance(each, _GENERATORS)]
    if not generators:
        parameters = inspect.signature(type(part).__init__).parameters
        given = {name: getattr(part, name) for name in parameters if hasattr(part, name)}
        type(part).__init__(part, **{**given, "seed": seed})
        return
    vars(part)["seed"] = seed
    for each in generators:
        if isinstance(each, np.random.Generator):
            fresh = type(each.bit_generator)(seed)
            each.bit_generator.state = fresh.state
        else:
            each.seed(seed)


_GENERATORS = (Random, np.random.RandomState, np.random.Generator)
