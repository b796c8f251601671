"""A steady load, from a process of its own: events at a fixed rate, each at its time.

Started by `bench.parts.latency` as `python -m bench.load`. Reads what to do from standard input,
as a line of JSON, says that it is ready, and reads when to start. An event is due at `start +
number / rate` on the machine's monotonic clock whether or not the one before it was taken, so
that a contestant that stands still is not spared the events of that time ("coordinated
omission"). Prints how far behind its own plan it has been.

The producer is as it comes, and so gathers records for 5 ms: sending every event by itself would
keep the broker busier than the contestant does.
"""

from __future__ import annotations

import json
import sys
import time

from confluent_kafka import Producer

from bench import data

_SLEEP_SECONDS = 0.001


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    first, count = plan["first"], plan["count"]
    values = data.encode(data.load(), first + count)[first:]
    producer = Producer({"bootstrap.servers": plan["bootstrap"], "enable.idempotence": True})
    producer.list_topics(plan["topic"], timeout=10)
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    behind, rate = 0.0, plan["rate"]
    for number, value in enumerate(values):
        due = start + number / rate
        while (now := time.monotonic()) < due:
            time.sleep(min(due - now, _SLEEP_SECONDS))
        behind = max(behind, now - due)
        producer.produce(plan["topic"], value, str(first + number).encode(), 0)
        producer.poll(0)
    producer.flush(60)
    print(json.dumps({"behind_seconds": behind}))


if __name__ == "__main__":
    main()
