"""What is written together is what would have been written one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import BrokerError, RejectReason
from millrace.streams.formats import Outputs
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.kafka.sizes import SizeLimits
from millrace.streams.observability.metrics import Metrics
from millrace.streams.operators.columns import Columns, Made, OutcomeColumns, PredictionColumns
from millrace.streams.operators.record import AlertRecord, Origin, Record, VectorRecord, reject
from millrace.streams.runtime.batches import batches
from millrace.streams.runtime.outbox import Outbox
from millrace.streams.settings import Guarantee
from millrace.streams.topology.codec import TopicCodec

TOPICS = {f"p.{name}": 4 for name in ("predictions", "outcomes", "alerts", "features", "rejects")}
LARGEST = 3_000
ODD_IDS = ("\ud800", "x" * LARGEST)
HEADERS = (("traceparent", b"1"), ("other", b"x"))


class World:
    """A broker, and an outbox that writes to it."""

    def __init__(
        self,
        pipeline: Pipeline,
        outputs: str = "avro",
        guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
        sizes: SizeLimits | None = None,
    ) -> None:
        self.broker = FakeBroker(TOPICS)
        self.broker.max_message_bytes = LARGEST
        self.clients = FakeClients(self.broker)
        self.metrics = Metrics("p")
        codec = TopicCodec(pipeline, Outputs(outputs))
        self.outbox = Outbox(
            "learning", self.clients, "p.", codec, TOPICS, self.metrics, guarantee, sizes
        )

    def commit(self) -> None:
        self.outbox.commit(self.clients.consumer("g", {}), [])

    def written(self, topic: str) -> list[tuple[object, ...]]:
        return [
            (partition, each.key(), each.value(), each.timestamp()[1], each.headers())
            for partition in range(TOPICS[topic])
            for each in self.broker.records(topic, partition)
        ]

    def counted(self) -> dict[str, float]:
        return {
            f"{each.name}{each.labels}": each.value
            for family in self.metrics.registry.collect()
            for each in family.samples
            if each.value and not each.name.endswith("_created")
        }


def some_origins(random: Random, count: int) -> list[Origin]:
    times = (-1, 5, random.randrange(10**6))
    return [
        Origin(
            "features",
            2,
            random.randrange(10**6),
            random.choice(times),
            b"key",
            b"value",
            HEADERS if random.random() < 0.1 else (),
        )
        for _ in range(count)
    ]


def an_id(random: Random) -> str:
    return random.choice(ODD_IDS) if random.random() < 0.01 else f"e{random.random()}"


def predictions(random: Random, count: int) -> PredictionColumns:
    return PredictionColumns(
        some_origins(random, count),
        event_ids=[an_id(random) for _ in range(count)],
        keys=[random.choice((None, "anna", "")) for _ in range(count)],
        event_times_ms=[random.randrange(10**6) for _ in range(count)],
        values=[random.choice((None, True, False)) for _ in range(count)],
        model=random.choice(("own", "other")),
        model_versions=[*range(60, 60 + count)],
        staleness=[0] * count,
        probabilities=[{"true": random.random()} for _ in range(count)],
        features=[{"a": random.random(), "b": 1.0} for _ in range(count)],
        definition="d" * 32,
        reasons=[None] * count,
        certainty=[None] * count,
        prediction_time_ms=1_700_000_000_000,
    )


def ordinary_predictions(count: int) -> PredictionColumns:
    columns = predictions(Random(0), count)
    columns.event_ids, columns.keys = [*map(str, range(count))], [None] * count
    return columns


def outcomes(random: Random, count: int) -> Columns:
    candidates = random.choice(((), ("own",), ("own", "prior")))
    losses = (0.0, 1.0) if random.random() < 0.5 else (0.0, None)
    return OutcomeColumns(
        some_origins(random, count),
        event_ids=[an_id(random) for _ in range(count)],
        keys=[None] * count,
        event_times_ms=[random.choice((None, 7)) for _ in range(count)],
        fates=[random.choice(("joined", "expired")) for _ in range(count)],
        labels=[random.choice((None, True)) for _ in range(count)],
        label_delays_ms=[random.choice((None, 0, 10**5)) for _ in range(count)],
        label_sources=[random.choice((None, "labels", "event")) for _ in range(count)],
        losses={name: [random.choice(losses) for _ in range(count)] for name in candidates},
    )


def a_record(random: Random) -> Record:
    (origin,) = some_origins(random, 1)
    match random.randrange(4):
        case 0:
            return random.choice((predictions, outcomes))(random, 1).records()[0]
        case 1:
            return reject(origin, RejectReason.MALFORMED, f"odd {random.random()}")
        case 2:
            alert: Any = {
                "source": "s",
                "detector": "ADWIN",
                "event_id": "e",
                "event_time_ms": 1,
                "position": 1,
                "mean_before": 0.5,
                "mean_after": random.random(),
                "action": "alert",
                "model": "own",
                "model_version": 1,
            }
            return AlertRecord(alert, origin)
    vector: Any = {"event_id": an_id(random), "key": None, "event_time_ms": 1, "label": None}
    partition = random.choice((None, 3, 4))
    return VectorRecord({**vector, "features": {"a": random.random()}}, origin, partition=partition)


def outputs_of(random: Random) -> list[Made]:
    made: list[Made] = []
    for _ in range(20):
        made += [a_record(random) for _ in range(random.choice((1, 40)))]
        made.append(random.choice((predictions, outcomes))(random, random.choice((1, 30, 100))))
    return made


def as_records(made: Iterable[Made]) -> list[Record]:
    return [
        record
        for each in made
        for record in (each.records() if isinstance(each, Columns) else [each])
    ]


def cut(random: Random, made: Sequence[Made]) -> list[Sequence[Made]]:
    places = sorted(random.choices(range(len(made)), k=5))
    return [made[a:b] for a, b in zip([0, *places], [*places, len(made)], strict=True)]


@pytest.mark.parametrize("outputs", ["avro", "json"])
@pytest.mark.parametrize("guarantee", Guarantee)
@pytest.mark.parametrize("seed", range(3))
def test_together_as_one_by_one(
    outputs: str,
    guarantee: Guarantee,
    seed: int,
    make_pipeline: Callable[..., Pipeline],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever it is cut: the same on every topic, in order, and counted alike.

    Outputs that cannot be written, or that are too large, are rejected by themselves.
    """
    monkeypatch.setattr("millrace.streams.runtime.outbox.time.time", lambda: 1_000.0)
    random = Random(seed)
    made = outputs_of(random)
    one_by_one, *others = [World(make_pipeline(), outputs, guarantee) for _ in range(3)]
    for record in as_records(made):
        one_by_one.outbox.put(record)
    for world, parts in zip(others, ([made], cut(random, made)), strict=True):
        for part in parts:
            world.outbox.put_all(part)
    for world in (one_by_one, *others):
        world.commit()
    for world in others:
        for topic in {*TOPICS} - {"p.rejects"}:
            assert world.written(topic) == one_by_one.written(topic), topic
        rejects = [sorted(map(repr, each.written("p.rejects"))) for each in (world, one_by_one)]
        assert rejects[0] == rejects[1]
        assert world.counted() == pytest.approx(one_by_one.counted())
    reasons = [name for name in one_by_one.counted() if "rejected" in name]
    assert len(reasons) == 2


def test_a_full_queue_is_waited_for(make_pipeline: Callable[..., Pipeline]) -> None:
    """Then the rest is written, in order."""
    world, calls = World(make_pipeline()), iter(range(1_000))

    def full_at_times() -> None:
        if next(calls) in (10, 11, 50):
            raise BufferError

    for _ in range(200):
        world.broker.before("produce", full_at_times)
    world.outbox.put_all([ordinary_predictions(100)])
    world.commit()
    keys = [b"%d" % number for number in range(100)]
    assert [each[1] for each in world.written("p.predictions")] == keys


def test_a_limit_that_is_known_holds(make_pipeline: Callable[..., Pipeline]) -> None:
    """What is larger than a topic has refused before is not tried again."""
    sizes = SizeLimits()
    for _ in range(2):
        sizes.note_refused("p.predictions", 160)
        sizes.conclude()
    world = World(make_pipeline(), sizes=sizes)
    columns = ordinary_predictions(50)
    columns.event_ids = [*columns.event_ids[:7], "x" * 200, *columns.event_ids[8:]]
    world.outbox.put_all([columns])
    world.commit()
    assert (len(world.written("p.predictions")), len(world.written("p.rejects"))) == (49, 1)


def test_a_failed_transaction_is_an_error(make_pipeline: Callable[..., Pipeline]) -> None:
    """Nothing is rejected for it."""
    world = World(make_pipeline())
    world.outbox.abort()
    with pytest.raises(BrokerError, match="not used any more"):
        world.outbox.put_all([predictions(Random(5), 50)])


def test_order_is_kept_on_each_topic() -> None:
    """Columns come between the records that were made before and after them."""
    random = Random(0)
    origin = some_origins(random, 1)[0]
    odd = [reject(origin, RejectReason.MALFORMED, str(number)) for number in range(3)]
    first, second = predictions(random, 2), predictions(random, 3)
    (record,) = predictions(random, 1).records()
    made = [odd[0], first, record, odd[1], record, second, odd[2]]
    assert batches(made) == [odd, first, [record, record], second]
