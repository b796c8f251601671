"""What is remembered of definitions that were in force: what a later one could run into.

Names come back. A feature that was removed may not return with another meaning, since models have
learned it under its name; and events of each schema that there was may still be on the topics.
"""

from __future__ import annotations

from typing import TypedDict

from millrace.models.identity.definition import Description, named
from millrace.schemas.codec.avro import Schema


class Past(TypedDict):
    """What is remembered.

    `features` maps each name that there was to the identity of the feature; `models` are the names
    of candidates; `schemas` are those of events, each once.
    """

    features: dict[str, str | None]
    models: list[str]
    schemas: list[Schema]


NOTHING = Past(features={}, models=[], schemas=[])


def remembered(past: Past | None, description: Description) -> Past:
    """Return what is remembered once a definition is no longer in force.

    Examples
    --------
    >>> from millrace.models.identity.definition import describe
    >>> from millrace.models.pipelines.loans import pipeline
    >>> found = remembered(None, describe(pipeline))
    >>> found["models"], len(found["schemas"]), remembered(found, describe(pipeline)) == found
    (['hoeffding_tree', 'logistic_regression', 'gaussian_naive_bayes'], 1, True)
    """
    past = past or NOTHING
    features = {name: each["identity"] for name, each in named(description["features"]).items()}
    schema = description["schema"]
    return Past(
        features=past["features"] | features,
        models=[*dict.fromkeys([*past["models"], *named(description["models"])])],
        schemas=[*(each for each in past["schemas"] if each != schema), schema],
    )
