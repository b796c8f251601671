"""The identity of each part of a definition of which saved state keeps what it made.

A model goes on with the parameters that it was made with, a window with its length, and so on. So
when state is read, its parts are compared with those of the definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from millrace.models.identity.description import identity_of
from millrace.models.pipeline.definition import Pipeline
from millrace.models.user_code import contained


def identities(pipeline: Pipeline) -> dict[str, str]:
    """Return the part's name, as one would write it, to its identity.

    A part has none where its source cannot be found, or the user's code raises.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import pipeline
    >>> [name for name in identities(pipeline) if name.startswith("models")]
    ["models['hoeffding_tree']", "models['logistic_regression']", "models['gaussian_naive_bayes']"]
    """
    found = dict[str, str]()
    for name, values in _parts(pipeline):
        with contained():
            found[name] = identity_of(*values)
    return found


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the parts that both have, and that are not the same."""
    return [name for name, each in now.items() if before.get(name, each) != each]


def _parts(pipeline: Pipeline) -> Iterator[tuple[str, tuple[object, ...]]]:
    for name, factory in pipeline.models.items():
        yield f"models[{name!r}]", (factory, factory())
    for feature in pipeline.features:
        for name in feature.names:
            yield f"features[{name!r}]", (feature.alone(name),)
    for name, metric in (pipeline.metrics or {}).items():
        yield f"metrics[{name!r}]", (metric, metric())
    yield "rolling_window", (pipeline.rolling_window,)
    for name, detector in pipeline.drift.detectors():
        yield name, (detector,)
