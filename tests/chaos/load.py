"""The load: payments and the labels that follow them, in every way that labels can come.

The same seed gives the same records in the same order, however fast they are produced. Records
are produced once each and acknowledged by the broker: what is on `events` and `labels` is what
the ledger says.
"""

from __future__ import annotations

import heapq
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from random import Random
from threading import Event as Flag
from threading import Thread
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import shipped
from tests.chaos.pipeline import ROWS, TTL, VERDICTS
from tests.chaos.registry import EVENTS, PROTOBUF, UNKNOWN, framed
from tests.chaos.topics import SOURCES, name_here

ACCOUNTS = 48
SHOPS = ("north", "south", "web")
CONCEPT_SECONDS = 40.0
_AVRO_HEADER_BYTES = 10
_START_MS = 1_740_960_000_000  # 3 March 2025
_BAD_EVENTS: tuple[bytes | None, ...] = (
    b"\xff\x00",
    b"{",
    b'{"payment_id": "x", "account": "a-1"}',
    b"[]",
    b"[" * 50_000,  # deeper than any parser goes
    b"\xc3\x01",  # nothing behind Avro's marker
    b"\0\0\0",  # nothing behind a registry's
    framed(PROTOBUF, b"\0"),
    framed(UNKNOWN, b"\0"),
    framed(EVENTS, b"\xff" * 20),  # a length that never ends
    None,
)
_ODD_AMOUNTS = ("9" * 309, "1e400", "NaN", "-Infinity", "true", '"7"', "null", "[1]", "1.7e308")
_ODD_LABELS = ('"yes"', "2", "1e999", "NaN", "[true]", '{"label": true}', "null")
_LONG = "x" * 5_000


class Sent(NamedTuple):
    """A record to produce: `good` is the id of an event that must be predicted."""

    topic: str
    key: str
    value: bytes | None
    kind: str
    good: str | None = None
    partition: int = -1


@dataclass
class Ledger:
    """What was produced."""

    kinds: Counter[str] = field(default_factory=Counter)
    good_events: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def write(self, sent: Sent) -> None:
        self.kinds[sent.kind] += 1
        if sent.good is not None:
            self.good_events.append(sent.good)


class Payments:
    """Makes the records of the load, in the order of their moments (seconds from the start)."""

    def __init__(self, pipeline: Pipeline, seed: int, events_per_second: float) -> None:
        self._schema = pipeline.event_schema.accepted
        self._random = Random(seed)
        self._gap_seconds = 1 / events_per_second
        self._due: list[tuple[float, int, Sent]] = []
        self._order = itertools.count()
        self._ended_at = 0.0

    def until(self, ended: Flag) -> Iterator[tuple[float, Sent]]:
        """Yield records with their moments; once `ended`, only those that are due already."""
        for index in itertools.count():
            moment = self._ended_at = index * self._gap_seconds
            if ended.is_set():
                break
            while self._due and self._due[0][0] <= moment:
                due, _, sent = heapq.heappop(self._due)
                yield due, sent
            self._plan(index, moment)
        while self._due:
            due, _, sent = heapq.heappop(self._due)
            yield due, sent

    def more(self, count: int) -> Iterator[Sent]:
        """Yield events without labels, from the end of the load on."""
        for number in range(count):
            payment = {**self._payment(0, self._ended_at), "payment_id": f"more-{number}"}
            yield Sent("events", payment["account"], json.dumps(payment).encode(), "event")

    def _plan(self, index: int, moment: float) -> None:
        """Decide what becomes of one payment, and when its label comes."""
        random = self._random
        payment = self._payment(index, moment)
        truth, way = self._truth(payment, moment), random.random()
        delay = random.expovariate(1 / 3)
        if way < 0.08:
            payment["is_fraud"] = truth
        elif way < 0.14:
            self._label(payment, truth, moment - 0.001, "label, early")
            moment += 1 + random.random()
        elif way < 0.18:
            for _ in range(2):
                self._label(payment, truth, moment + delay, "label, twice")
        elif way < 0.20:
            self._label(payment, not truth, moment - 0.002, "label, corrected early")
            self._label(payment, truth, moment - 0.001, "label, correction")
            moment += 2
        elif way < 0.22:
            self._label(payment, not truth, moment + delay, "label, corrected late")
            self._label(payment, truth, moment + delay + 2, "label, correction")
        elif way < 0.25:
            late = TTL.total_seconds() * (1.2 + random.random())
            self._label(payment, truth, moment + late, "label, too late")
        elif way < 0.28:
            pass  # nobody ever knows
        elif way < 0.31:
            self._label(payment, truth, moment + delay, "label, among events", topic="events")
        else:
            self._label(payment, truth, moment + delay, "label")
        self._event(payment, moment)
        self._mishaps(payment, moment)

    def _mishaps(self, payment: dict[str, Any], moment: float) -> None:
        random = self._random
        if random.random() < 0.01:
            self._event(payment, moment + random.random(), kind="event, twice", good=False)
        if random.random() < 0.01:
            bad = random.choice(_BAD_EVENTS)
            topic = ROWS if bad is not None and random.random() < 0.2 else "events"
            self._add(moment, Sent(topic, payment["account"], bad, "event, bad"))
        if random.random() < 0.01:
            self._odd_event(payment, moment, random.choice(_ODD_AMOUNTS))
        if random.random() < 0.01:
            odd = random.choice(_ODD_LABELS)
            event_id = random.choice(("odd", payment["payment_id"], _LONG))
            bad = f'{{"event_id": "{event_id}", "label": {odd}}}'.encode()
            self._add(moment, Sent("labels", payment["account"], bad, "label, bad"))
        if random.random() < 0.01:
            nobody = {**payment, "payment_id": f"nobody-{payment['payment_id']}"}
            self._label(nobody, True, moment, "label, orphan")

    def _odd_event(self, payment: dict[str, Any], moment: float, amount: str) -> None:
        """Add an event with an amount that is none, or too large to be a feature."""
        odd = {**payment, "payment_id": f"odd-{payment['payment_id']}", "paid_at": _START_MS}
        if self._random.random() < 0.2:
            odd["payment_id"] = _LONG
        text = json.dumps({**odd, "amount": "?"}).replace('"?"', amount)
        self._add(moment, Sent("events", payment["account"], text.encode(), "event, odd"))

    def _payment(self, index: int, moment: float) -> dict[str, Any]:
        random = self._random
        jitter = random.random() * 2
        return {
            "payment_id": f"p-{index}",
            "account": f"a-{random.randrange(ACCOUNTS)}",
            "paid_at": _START_MS + int((moment - jitter) * 1000),
            "amount": round(random.lognormvariate(3, 1), 2),
            "items": random.choice((None, 1, 2, 3)),
            "shop": random.choice(SHOPS),
            "is_fraud": None,
        }

    def _truth(self, payment: dict[str, Any], moment: float) -> bool:
        """Whether it is fraud: a rule that turns around every so often, and some noise."""
        is_large = payment["amount"] > 20 * (payment["items"] or 1)
        is_turned = int(moment / CONCEPT_SECONDS) % 2 == 1
        return (is_large != is_turned) != (self._random.random() < 0.05)

    def _event(
        self, payment: dict[str, Any], moment: float, kind: str = "event", good: bool = True
    ) -> None:
        way = self._random.random()
        if way < 0.2:
            self._row(payment, moment, kind, good)
            return
        value = json.dumps(payment).encode() if way < 0.4 else self._schema.encode(payment)
        if way > 0.8:
            value = framed(EVENTS, value[_AVRO_HEADER_BYTES:])
        event_id = payment["payment_id"] if good else None
        self._add(moment, Sent("events", payment["account"], value, kind, event_id))

    def _row(self, payment: dict[str, Any], moment: float, kind: str, good: bool) -> None:
        """Add an event as a new row of a table, which may be gone a little later."""
        event_id = payment["payment_id"] if good else None
        new = _change("c", None, payment)
        self._add(moment, Sent(ROWS, payment["account"], new, f"{kind}, row", event_id))
        if self._random.random() < 0.1:
            gone, later = _change("d", payment, None), moment + self._random.expovariate(1 / 3)
            self._add(later, Sent(ROWS, payment["account"], gone, "row, gone"))

    def _label(
        self, payment: dict[str, Any], label: bool, moment: float, kind: str, topic: str = "labels"
    ) -> None:
        record = {
            "event_id": payment["payment_id"],
            "label": label,
            "label_time_ms": _START_MS + int(moment * 1000),
            "key": payment["account"],
        }
        value, way = shipped("label").encode(record), self._random.random()
        if topic == "labels" and way < 0.3:
            value = json.dumps(record).encode()
        elif topic == "labels" and way < 0.5:
            topic, value = VERDICTS, _verdict(record)
        self._add(moment, Sent(topic, payment["account"], value, kind))

    def _add(self, moment: float, sent: Sent) -> None:
        heapq.heappush(self._due, (moment, next(self._order), sent))


def _change(op: str, before: Any, after: Any) -> bytes:
    """Return what Debezium writes of a row."""
    return json.dumps({"before": before, "after": after, "op": op, "ts_ms": 1}).encode()


def _verdict(label: dict[str, Any]) -> bytes:
    """Return a label in somebody else's form."""
    payment = {"id": label["event_id"], "account": label["key"]}
    verdict = "fraud" if label["label"] else "fine"
    record = {"payment": payment, "verdict": verdict, "at": label["label_time_ms"]}
    return json.dumps(record).encode()


class Feeder:
    """Produces the load in a thread of its own, through whatever happens to the broker."""

    def __init__(self, bootstrap: str, pipeline: str, payments: Payments) -> None:
        self.ledger = Ledger()
        self._between: SimpleQueue[Sent] = SimpleQueue()
        self._pipeline = pipeline
        self._payments = payments
        self._ended = Flag()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 0,
                "on_delivery": self._on_delivery,
                "reconnect.backoff.max.ms": 500,
            }
        )
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send_garbage(self, partition: int, records: Iterable[bytes]) -> None:
        """Send records to one partition of `events`, between the others."""
        for each in records:
            self._between.put(Sent("events", "", each, "garbage", partition=partition))

    def send_more(self, count: int) -> None:
        """Send good events, once the load has ended."""
        for sent in self._payments.more(count):
            self._send(sent)
        self._producer.flush(30)

    def finish(self) -> None:
        """Send what is still due, and wait until the broker has everything."""
        self._ended.set()
        self._thread.join()
        left = self._producer.flush(120)
        if left:
            self.ledger.failures.append(f"{left} records were never acknowledged")

    def _run(self) -> None:
        started = time.monotonic()
        for moment, sent in self._payments.until(self._ended):
            while not self._ended.is_set() and time.monotonic() - started < moment:
                self._producer.poll(0.01)
            while not self._between.empty():
                self._send(self._between.get())
            self._send(sent)

    def _send(self, sent: Sent) -> None:
        self.ledger.write(sent)
        name, topic = self._pipeline, sent.topic
        topic = name_here(name, topic) if topic in SOURCES else f"{name}.{topic}"
        self._producer.produce(topic, sent.value, sent.key, sent.partition)
        self._producer.poll(0)

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.ledger.failures.append(error.str())
