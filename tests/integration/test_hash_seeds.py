"""Every model and metric of the catalogue is the same in processes with different hash seeds."""

import os
import subprocess
import sys

RUN = """
import random
from river import metrics
from millrace import Pipeline, catalogue, fields, run

TEXTS = ["low", "middle", "high", "apple", "zebra"]
LABELS = {
    ("multiclass", "string"): TEXTS,
    ("multiclass", "long"): [10**10, -3, 7, 2**61, 0],
    ("multiclass", "boolean"): [True, False, True, False, True],
    ("binary", "boolean"): [True, False, True, False, True],
    ("anomaly", "boolean"): [False, False, False, False, True],
    ("regression", "double"): [0.5, 1e6, -3.0, 0.1, 7.0],
}
METRICS = ["MacroF1", "WeightedJaccard", "WeightedPrecision", "VBeta", "CrossEntropy"]


def rows(labels, with_text):
    rng = random.Random(1)
    for number in range(60):
        row = {"id": str(number), "at": 1_700_000_000_000 + number}
        row |= {"a": rng.gauss(0, 1), "b": rng.gauss(500, 100)}
        if with_text:
            row |= {"c": rng.choice(TEXTS), "d": rng.choice(TEXTS[:3])}
        place = min(4, max(0, int(2 + 2 * row["a"])))
        yield row | {"y": labels[place]}


for (task, kind), labels in LABELS.items():
    for with_text in (True, False):
        columns = {"a": "double", "b": "double"}
        columns |= {"c": "string", "d": "string"} if with_text else {}
        pipeline = Pipeline(
            name="orders",
            schema={"type": "record", "name": "Row", "fields": [
                {"name": "id", "type": "string"},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                *({"name": each, "type": kind} for each, kind in columns.items()),
                {"name": "y", "type": kind},
            ]},
            event_id="id",
            event_time="at",
            label="y",
            task=task,
            features=[fields(*columns)],
            models={
                name: catalogue.factory(name, task, numeric=not with_text)
                for name in catalogue.names(task)
            },
            metrics=task == "multiclass" and {each: getattr(metrics, each) for each in METRICS}
            or None,
        )
        result = run(pipeline, list(rows(labels, with_text)))
        for each in result.predictions:
            print(task, kind, each["value"], each["probabilities"], each["features"])
        for each in result.outcomes:
            print(task, kind, each)
        print(task, kind, result.metrics)
"""


def test_every_model_and_metric_is_the_same_in_every_process():
    """To the last bit: each task, kind of label and model, with values of text and without."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RUN],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (each.communicate(timeout=120)[0].splitlines() for each in running)
    assert len(first) == 6 * 2 * (60 + 60 + 1)
    for one, other in zip(first, second, strict=True):
        assert one == other
