"""Events with whatever a model may meet, and how to see that reasons add up."""

from __future__ import annotations

import math
import random
from contextlib import suppress

from millrace.models.candidates.predicting import InvalidPredictionError, learner, predictor
from millrace.models.pipeline.tasks import Task
from millrace.models.reasons.explainer import explainer
from millrace.models.reasons.reasons import NoReasons, Scale

COLOURS = ["red", "green", "blue"]


def features(rng, numeric):
    """Return numbers of several sizes, a boolean, a constant, text; some missing, some new."""
    x = {
        "small": rng.gauss(0, 1),
        "large": rng.gauss(5e5, 1e5),
        "flag": rng.random() < 0.5,
        "constant": 3,
    }
    if not numeric:
        x["colour"] = rng.choice(COLOURS)
    chance = rng.random()
    if chance < 0.1:
        del x[rng.choice([*x])]
    elif chance < 0.13:
        x["new"] = rng.random()
    elif chance < 0.15:
        x = {}
    return x


def label(task, x, rng, drifted=False):
    score = (-1 if drifted else 1) * x.get("small", 0.0) + 0.3 * rng.gauss(0, 1)
    score += x.get("colour") == "red"
    return {
        Task.BINARY: score > 0,
        Task.MULTICLASS: "low" if score < -0.6 else "high" if score > 0.6 else "middle",
        Task.REGRESSION: 1e3 + 50 * score,
        Task.ANOMALY: score > 1.8,
    }[task]


def answered(model, task, n, numeric=True, seed=1, make=features):
    """Let a model predict and learn events; yield features, prediction and answer for each."""
    task, rng = Task(task), random.Random(seed)
    predict, learn, explain = (
        predictor(model, task, True),
        learner(model),
        explainer(model, task).explain,
    )
    for number in range(n):
        x = make(rng, numeric)
        with suppress(InvalidPredictionError):  # of some models before they have learned
            predicted = predict(x)
            yield x, predicted, explain(x, predicted)
        learn(x, label(task, x, rng, drifted=number > n // 2))


def check(reasons, predicted, task):
    """Fail unless reasons add up to a prediction, by arithmetic of its own."""
    assert not isinstance(reasons, NoReasons), reasons.why
    parts = [reasons.base, *reasons.contributions.values()]
    total, size = math.fsum(parts), math.fsum(map(abs, parts))
    if reasons.scale is Scale.TARGET:
        assert math.isclose(total, predicted["value"], rel_tol=1e-9, abs_tol=1e-9 * size)
        return
    given = predicted["probabilities"]
    assert reasons.of == (True if Task(task) is Task.BINARY else predicted["value"])
    p = given.get(str(reasons.of), 0.0)
    if reasons.scale is Scale.PROBABILITY:
        assert math.isclose(total, p, rel_tol=1e-9, abs_tol=1e-9 * size)
    elif reasons.against is not None:
        q = given[str(reasons.against)]
        assert reasons.against != reasons.of
        if min(p, q) > 1e-6:  # where the probabilities still tell the log-odds
            assert math.isclose(total, math.log(p / q), rel_tol=1e-9, abs_tol=1e-9 * (1 + size))
        else:
            assert (total > 10) if p > q else (total < -10)
