"""Loan applications, granted by a rule that changes halfway: two classes and a concept drift.

The stream is the generator of Agrawal, Imielinski and Swami (Database Mining: A Performance
Perspective, 1993). At first a loan is granted when income covers it; after the drift, only to
applicants of 40 to 59 years. What the model has learned is then wrong, its loss rises, and a
challenger takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

from river.datasets.synth import Agrawal

from millrace import DriftSettings, Pipeline, catalogue, derived, fields

_START_MS = int(datetime(2025, 3, 3, tzinfo=UTC).timestamp() * 1000)
_MEAN_GAP_MS = 30_000
_BY_INCOME, _BY_AGE = 8, 0  # numbers of the generator's functions


def total_income(application: Mapping[str, float]) -> float:
    """Return what an applicant earns in a year, commission included."""
    return float(application["salary"] + application["commission"])


pipeline = Pipeline(
    name="loans",
    schema=Path(__file__).with_suffix(".avsc"),
    event_id="application_id",
    event_time="applied_at",
    label="granted",
    task="binary",
    features=[
        fields("salary", "commission", "age", "elevel", "car"),
        fields("zipcode", "hvalue", "hyears", "loan"),
        derived("total_income", total_income),
    ],
    models={
        "hoeffding_tree": catalogue.hoeffding_tree,
        "logistic_regression": catalogue.logistic_regression,
        "gaussian_naive_bayes": catalogue.gaussian_naive_bayes,
    },
    rolling_window=500,
    drift=DriftSettings(policy="replace"),
)


def applications(
    n_events: int, seed: int = 42, drift_at: int | None = None
) -> Iterator[dict[str, object]]:
    """Yield loan applications with their labels, the same ones for the same seed.

    Parameters
    ----------
    n_events
        How many.
    seed
        Of the applicants and of the times between them, half a minute on average.
    drift_at
        Index of the first application that is granted by age; None for never.

    Examples
    --------
    >>> [(a["application_id"], a["age"], a["granted"]) for a in applications(3, drift_at=1)]
    [('0', 21, False), ('1', 25, False), ('2', 55, True)]
    """
    rules = {
        kind: Agrawal(classification_function=kind, seed=seed) for kind in (_BY_INCOME, _BY_AGE)
    }
    both = zip(rules[_BY_INCOME], rules[_BY_AGE], strict=True)
    gaps = Random(seed)  # noqa: S311 - a repeatable stream, no secret
    applied_at = _START_MS
    for index, ((applicant, by_income), (_, by_age)) in enumerate(islice(both, n_events)):
        applied_at += 1 + int(gaps.expovariate(1 / _MEAN_GAP_MS))
        has_drifted = drift_at is not None and index >= drift_at
        yield {
            "application_id": str(index),
            "applied_at": applied_at,
            **applicant,
            "granted": (by_age if has_drifted else by_income) == 0,
        }
