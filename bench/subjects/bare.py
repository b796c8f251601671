"""The limit: River alone, which predicts, scores and trains in memory, without Kafka.

It prints its figures, and the time after every few hundred events, so that a contestant that
stopped early is compared over the same events.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from bench import data
from bench.job import Job
from bench.learner import Learner

_STRIDE = 250
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    job = Job.from_environment()
    rows, learner = data.rows(job.events), Learner(job)
    model, metric, marks = learner.model, learner.metric, [(0, 0.0)]
    cpu_started, started = time.process_time(), time.perf_counter()
    for number, (features, label) in enumerate(rows, 1):
        probabilities = model.predict_proba_one(features)
        predicted = max(probabilities, key=probabilities.__getitem__) if probabilities else False
        metric.update(label, predicted)
        model.learn_one(features, label)
        if not number % _STRIDE or number == job.events:
            marks.append((number, time.perf_counter() - started))
    cpu_seconds, seconds = time.process_time() - cpu_started, marks[-1][1]
    found = {
        "seconds": seconds,
        "events_per_second": job.events / seconds,
        "cpu_seconds_per_million": cpu_seconds / job.events * 1e6,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES,
        "accuracy": metric.get(),
        "marks": marks,
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
