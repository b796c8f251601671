"""The catalogue's regressors stay sane on ordinary data, whatever its units and its shape."""

import math
import random
from itertools import islice

import pytest
from river import datasets, forest, preprocessing, tree

from millrace import catalogue
from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.passive_aggressive import PassiveAggressiveRegressor
from millrace.models.candidates.predicting import predictor
from millrace.models.pipeline.tasks import Task

LENGTHS = {
    "linear_regression": 1_000,
    "hoeffding_tree_regressor": 600,
    "adaptive_random_forest_regressor": 120,
}


def line(rng, unit=1.0, level=0.0, noise=0.3):
    while True:
        x = {"a": rng.gauss(0, 1), "b": 1e6 * rng.gauss(0, 1), "c": rng.random() < 0.5}
        yield x, level + unit * (x["a"] - 2e-6 * x["b"] + x["c"] + noise * rng.gauss(0, 1))


def heavy_tails(rng, alpha):
    while True:
        x = {"a": rng.paretovariate(alpha), "b": rng.gauss(0, 1)}
        yield x, math.log(x["a"]) * rng.paretovariate(2.0)


def trend(rng):
    for time in range(10_000):
        yield {"ms": 1.7e12 + 6e4 * time, "noise": rng.random()}, 3e6 * time + rng.gauss(0, 1e6)


def spikes(rng):
    while True:
        rare = rng.random() < 0.01
        yield {"rare": rare, "b": rng.gauss(0, 1)}, 1e4 * rare + rng.gauss(0, 1)


def unit_changes(rng):
    for place, (x, y) in enumerate(line(rng)):
        late = place >= 60
        yield {name: value * 1e6 if late else value for name, value in x.items()}, y


def wide(rng):
    while True:
        common = rng.gauss(0, 1)
        yield {f"x{i}": common + 0.1 * rng.gauss(0, 1) for i in range(100)}, 10 * common


def shops(rng):
    sizes = [rng.gauss(0, 10) for _ in range(100)]
    while True:
        shop = int(rng.paretovariate(0.7)) % 100
        yield {"shop": f"shop {shop}", "amount": rng.lognormvariate(0, 2)}, 50 + sizes[shop]


def nothing_to_learn(rng):
    while True:
        yield {"id": rng.randrange(10**12), "b": rng.random()}, rng.gauss(100, 3)


def hours(rng):
    for hour in range(10_000):
        yield {"hour": hour % 24}, float(int(500 + 300 * math.sin(hour / 24 * math.tau)))


def plain(rows):
    for x, y in [*rows]:  # all of them, so that the file is closed
        yield {name: v.toordinal() if hasattr(v, "toordinal") else v for name, v in x.items()}, y


STREAMS = {
    "line": line,
    "millionths": lambda rng: line(rng, unit=1e-6),
    "billions": lambda rng: line(rng, unit=1e9),
    "far from zero": lambda rng: line(rng, level=1e9),
    "noise": lambda rng: line(rng, noise=30.0),
    "alpha 2": lambda rng: heavy_tails(rng, 2.0),
    "alpha 0.7": lambda rng: heavy_tails(rng, 0.7),
    "trend": trend,
    "spikes": spikes,
    "unit changes": unit_changes,
    "wide": wide,
    "shops": shops,
    "nothing to learn": nothing_to_learn,
    "hours": hours,
    "TrumpApproval": lambda _: plain(datasets.TrumpApproval()),
    "ChickWeights": lambda _: plain(datasets.ChickWeights()),
    "AirlinePassengers": lambda _: plain(datasets.AirlinePassengers()),
    "WaterFlow": lambda _: plain(datasets.WaterFlow()),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", LENGTHS)
def test_a_regressor_is_no_worse_than_a_baseline_and_never_explodes(name, stream):
    """Its error is about that of the worse baseline at most, and no prediction is out of range."""
    examples = [*islice(STREAMS[stream](random.Random(1)), LENGTHS[name])]
    numeric = not any(isinstance(value, str) for value in examples[0][0].values())
    models = {"own": catalogue.factory(name, "regression", numeric)()} | baselines("regression")
    errors, reach = dict.fromkeys(models, 0.0), max(abs(y) for _, y in examples)
    for place, (x, y) in enumerate(examples):
        for each, model in models.items():
            value = predictor(model, Task.REGRESSION)(x)["value"]
            if place:
                assert abs(value) <= 5 * reach
                errors[each] += abs(value - y)
            model.learn_one(x, y)
    assert errors["own"] <= 1.1 * max(errors["prior"], errors["no_change"])
    assert errors["own"] <= 1.1 * errors["prior"]


@pytest.mark.parametrize("constant", [0.0, 1e-9, -5.0, 1e9])
@pytest.mark.parametrize("name", LENGTHS)
def test_a_constant_target_is_predicted_exactly(name, constant):
    """From the second example on, whatever the features."""
    model, rng = catalogue.factory(name, "regression")(), random.Random(1)
    for place in range(50):
        x = {"a": 1e9 * rng.gauss(0, 1)}
        assert place == 0 or model.predict_one(x) == constant
        model.learn_one(x, constant)


def by_hand():
    """Return the regression of the catalogue, of River's own parts."""
    clipped = preprocessing.PredClipper(PassiveAggressiveRegressor(), y_min=-10.0, y_max=10.0)
    return preprocessing.StandardScaler() | preprocessing.TargetStandardScaler(clipped)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("linear_regression", by_hand),
        ("hoeffding_tree_regressor", lambda: tree.HoeffdingTreeRegressor(leaf_model=by_hand())),
        (
            "adaptive_random_forest_regressor",
            lambda: forest.ARFRegressor(leaf_model=by_hand(), seed=42),
        ),
    ],
)
def test_regressors_are_rivers_to_the_last_bit(name, make):
    """The same as River's objects composed by hand."""
    own, rivers = catalogue.factory(name, "regression")(), make()
    for x, y in islice(line(random.Random(2)), LENGTHS[name]):
        assert own.predict_one(x) == rivers.predict_one(x)
        own.learn_one(x, y)
        rivers.learn_one(x, y)
