"""The limit: River alone, which predicts, scores and trains in memory, without Kafka.

It prints its figures, and the time and CPU time after every few hundred events, so that a
contestant that stopped early is compared over the same events. Where labels come later, it learns
so many events behind.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque

from bench import data
from bench.data import Row
from bench.job import Job
from bench.learner import Learner
from bench.process import peak_rss_bytes

_STRIDE = 250


def main() -> None:
    job = Job.from_environment()
    rows, learner = data.rows(job.events), Learner(job)
    model, metric, marks = learner.model, learner.metric, [(0, 0.0, 0.0)]
    delay, waiting = job.label_delay, deque[tuple[Row, bool]]()
    cpu_started, started = time.process_time(), time.perf_counter()
    for number, (features, label) in enumerate(rows, 1):
        probabilities = model.predict_proba_one(features)
        predicted = max(probabilities, key=probabilities.__getitem__) if probabilities else False
        if not delay:
            metric.update(label, predicted)
            model.learn_one(features, label)
        else:
            waiting.append(((features, label), predicted))
            if number > delay:
                (features, label), predicted = waiting.popleft()  # noqa: PLW2901
                metric.update(label, predicted)
                model.learn_one(features, label)
        if not number % _STRIDE or number == job.events:
            spent = time.process_time() - cpu_started
            marks.append((number, time.perf_counter() - started, spent))
    _, seconds, cpu_seconds = marks[-1]
    found = {
        "seconds": seconds,
        "events_per_second": job.events / seconds,
        "cpu_seconds_per_million": cpu_seconds / job.events * 1e6,
        "peak_rss_bytes": peak_rss_bytes(),
        "accuracy": metric.get(),
        "marks": marks,
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
