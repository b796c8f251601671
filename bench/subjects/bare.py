"""The limit: River alone, predicting, scoring and learning in memory, with no Kafka at all.

It writes what it took to standard output: the seconds after every so many events, so that a
contestant that stopped before the end is held against the same events.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from river import metrics

from bench import data
from bench.job import Job
from bench.learner import make_model

STRIDE = 250
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    job = Job.from_environment()
    rows = data.load().first(job.events)
    model = make_model(job)
    metric = metrics.Accuracy()  # type: ignore[no-untyped-call]  # River's
    marks = [0.0]
    cpu_started, started = time.process_time(), time.perf_counter()
    for begin in range(0, len(rows), STRIDE):
        for features, label in rows[begin : begin + STRIDE]:
            probabilities = model.predict_proba_one(features)
            predicted = (
                max(probabilities, key=probabilities.__getitem__) if probabilities else False
            )
            metric.update(label, predicted)
            model.learn_one(features, label)
        marks.append(time.perf_counter() - started)
    found = {
        "events": len(rows),
        "marks": marks,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES,
        "accuracy": metric.get(),  # type: ignore[no-untyped-call]  # River's
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
