"""An agent reads the topics of the definition in force, whoever made them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.schemas import BrokerError, DefinitionError, SettingsError, TopicError
from millrace.streams.kafka.admin import (
    find_sources,
    prepare_topics,
    require_sources,
    topic_problems,
    widen_topics,
)
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.runtime.definitions import Definitions
from millrace.streams.runtime.engine import Engine
from millrace.streams.settings import Settings
from tests.unit.streams.runtime.worker import FakeWorker, crash, work

NAMES = {"rows": "shop.rows"}
ROWS = Source("rows", envelope="debezium", on_update="event")
Make = Callable[..., Any]


def change(op: str, number: int) -> bytes:
    row = {"id": f"e{number}", "a": 1.0, "b": 2.0}
    return json.dumps({"op": op, "before": None, "after": row}).encode()


def read(broker: FakeBroker) -> list[str]:
    """Return the ids of the events that were predicted."""
    return [json.loads(each or b"")["event_id"] for each in broker.values("p.predictions")]


@pytest.fixture
def pipeline(make_pipeline: Make) -> Pipeline:
    """Make a pipeline that reads rows of somebody's table."""
    found: Pipeline = replace(make_pipeline(), events=[ROWS])
    return found


@pytest.mark.parametrize("name", ["shop.rows", "p.rows"])
def test_a_topic_under_its_name_here(name: str, pipeline: Pipeline) -> None:
    """Events come from it as from `events`, and offsets and rejects have its full name.

    A row that is gone and not named, is rejected, too.
    """
    broker = FakeBroker({name: 1})
    worker = FakeWorker(broker, pipeline, topics={"rows": name})
    session = worker.start()
    for number, op in enumerate("crud"):
        broker.put(name, change(op, number), timestamp_ms=number)
    broker.put("p.events", json.dumps({"id": "e9", "a": 1.0, "b": 2.0}).encode(), timestamp_ms=9)
    broker.put(name, b"?", timestamp_ms=10)
    while work(session):
        pass
    assert read(broker) == ["e0", "e1", "e2", "e9"]
    rejects = [json.loads(each or b"") for each in broker.values("p.rejects")]
    found = [(each["topic"], each["offset"], each["reason"]) for each in rejects]
    assert found == [(name, 3, "missing_id"), (name, 4, "malformed")]
    assert worker.count("rows_passed_over_total", says="gone") == 0
    group = broker.groups[worker.group]
    assert group.offsets[name, 0] == 5


def test_it_follows_the_definition_in_force(pipeline: Pipeline) -> None:
    """A source that comes with a definition is read from then on, and one that goes is not."""
    broker = FakeBroker({"shop.rows": 1, "more": 1})
    definitions = Definitions(pipeline)
    worker = FakeWorker(broker, pipeline, "ingest", definitions, topics=NAMES, chain="default")
    engine = worker.engine()
    definitions._known["later"] = replace(pipeline, events=[Source("more")])
    for number, topic in enumerate(("shop.rows", "more")):
        value = change("c", number) if number == 0 else b'{"id": "e1", "a": 1.0, "b": 2.0}'
        broker.put(topic, value)
    _work(engine)
    assert len(broker.values("p.clean")) == 1
    definitions.history = ("later",)
    broker.put("shop.rows", change("c", 2))
    _work(engine)
    assert [b"e1" in (each or b"") for each in broker.values("p.clean")] == [False, True]


def _work(engine: Engine) -> None:
    """Work until nothing is left to read."""
    quiet = 0
    while quiet < 3:  # it may have to join its group again
        batch = engine._poll()
        quiet += 1
        if batch is not None:
            asyncio.run(batch.session.fold(batch.origins))
            batch.session.commit()
            quiet = 0


def test_a_missing_topic_is_named(pipeline: Pipeline) -> None:
    """Nothing is created then, and the error names the setting."""
    broker = FakeBroker()
    clients, settings = FakeClients(broker), Settings(broker="fake", topics=NAMES)
    with pytest.raises(TopicError, match=r"shop\.rows.*MILLRACE_TOPICS"):
        prepare_topics(clients, pipeline, settings)
    assert broker.topics == {}
    assert "shop.rows" in topic_problems(clients, pipeline, settings, {})[0]


@pytest.mark.parametrize("chain", ["default", "full"])
def test_any_number_of_partitions(chain: str, pipeline: Pipeline) -> None:
    """What is created is as wide as what is there; where ingest routes nothing, all are alike."""
    broker = FakeBroker({"shop.rows": 6, "p.labels": 2})
    clients = FakeClients(broker)
    settings = Settings(broker="fake", topics=NAMES, chain=chain)
    if chain == "full":
        with pytest.raises(Exception, match=r"'shop\.rows': 6.*chain default"):
            prepare_topics(clients, pipeline, settings)
        assert {*broker.topics} == {"shop.rows", "p.labels"}
        return
    counts = prepare_topics(clients, pipeline, settings)
    assert counts["shop.rows"] == counts["p.events"] == counts["p.clean"] == 6
    assert counts["p.labels"] == 2


def test_an_unknown_envelope(pipeline: Pipeline) -> None:
    """It is refused when the agent is made, and before: by `check`, `deploy` and a new worker."""
    other = replace(pipeline, events=[Source("rows", envelope="xml")])
    broker, settings = FakeBroker({"shop.rows": 1}), Settings(broker="fake", topics=NAMES)
    with pytest.raises(DefinitionError, match="envelope of source 'rows'"):
        FakeWorker(broker, other, topics=NAMES).start()
    with pytest.raises(DefinitionError, match="envelope of source 'rows'"):
        settings.agents_of(other)
    with pytest.raises(DefinitionError, match="envelope of source 'rows'"):
        require_sources(other, settings, {"shop.rows": 1})


def chargeback(number: int, reason: str | None) -> bytes:
    return json.dumps({"payment": {"id": f"e{number}"}, "reason": reason}).encode()


def test_labels_of_others(make_pipeline: Make) -> None:
    """They meet their events; what says nothing is passed over, and code that raises rejects."""
    source = LabelSource(
        "chargebacks", event_id="payment.id", label=lambda row: {"fraud": True}[row["reason"]]
    )
    silent = LabelSource("reviews", event_id="id", label="verdict")
    pipeline = replace(make_pipeline(), labels=[source, silent])
    broker = FakeBroker({"chargebacks": 1, "reviews": 1})
    worker = FakeWorker(broker, pipeline)
    session = worker.start()
    for number in range(3):
        event = json.dumps({"id": f"e{number}", "a": 1.0, "b": 2.0}).encode()
        broker.put("p.events", event, timestamp_ms=number)
    broker.put("chargebacks", chargeback(1, "fraud"), timestamp_ms=10)
    broker.put("chargebacks", chargeback(2, "other"), timestamp_ms=11)
    broker.put("reviews", b'{"id": "e0", "verdict": null}', timestamp_ms=12)
    broker.put("reviews", b'{"id": "e0", "verdict": false}', timestamp_ms=13)
    while work(session):
        pass
    outcomes = [json.loads(each or b"") for each in broker.values("p.outcomes")]
    assert [(each["event_id"], each["label"]) for each in outcomes] == [("e1", True), ("e0", False)]
    (reject,) = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert (reject["topic"], reject["reason"]) == ("chargebacks", "source_error")
    assert "KeyError" in reject["detail"]
    assert worker.count("rows_passed_over_total", says="nothing") == 1


@pytest.mark.parametrize("ignore_tombstones", [False, True])
def test_rows_that_are_gone(ignore_tombstones: bool, pipeline: Pipeline) -> None:
    """Their events wait for no label any more: by the row as it was, by the key, by a tombstone."""
    pipeline = replace(pipeline, ignore_tombstones=ignore_tombstones)
    broker = FakeBroker({"shop.rows": 1})
    worker = FakeWorker(broker, pipeline, topics=NAMES)
    session = worker.start()
    for number in range(5):
        broker.put("shop.rows", change("c", number), timestamp_ms=number)
    gone = {"op": "d", "before": {"id": "e0", "a": None, "b": None}, "after": None}
    by_key = {"op": "d", "before": None, "after": None}
    broker.put("shop.rows", json.dumps(gone).encode(), timestamp_ms=5)
    broker.put("shop.rows", json.dumps(by_key).encode(), b'{"id": "e1"}', timestamp_ms=6)
    broker.put("shop.rows", None, b'{"schema": {}, "payload": {"id": "e2"}}', timestamp_ms=7)
    broker.put("shop.rows", None, b"no json", timestamp_ms=8)
    broker.put("shop.rows", None, b'{"id": "never seen"}', timestamp_ms=9)
    for number in (0, 3):
        label = json.dumps({"event_id": f"e{number}", "label": True}).encode()
        broker.put("p.labels", label, timestamp_ms=10)
    while work(session):
        pass
    outcomes = [json.loads(each or b"") for each in broker.values("p.outcomes")]
    assert [(each["event_id"], each["fate"]) for each in outcomes] == [
        *(("e0", "removed"), ("e1", "removed"), ("e2", "removed")),
        *(("e0", "late"), ("e3", "joined")),
    ]
    assert worker.count("events_expired_total", cause="removed") == 3
    assert worker.count("rows_passed_over_total", says="gone") == 5
    (reject,) = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert reject["reason"] == "late_label"
    assert "or its row was deleted" in reject["detail"]


@pytest.mark.parametrize("chain", ["full", "default"])
def test_the_label_is_a_column_of_the_row(chain: str, make_pipeline: Make) -> None:
    """A row that is new is an event, one that has changed a label, and one that is gone neither."""
    label = LabelSource("rows", event_id="id", label="y", envelope="debezium")
    rows = Source("rows", envelope="debezium")
    pipeline = replace(make_pipeline(), events=[rows], labels=[label])
    broker = FakeBroker({"shop.rows": 1})

    agents = ("ingest",) if chain == "full" else ("ingest", "feature", "prediction")
    workers = [FakeWorker(broker, pipeline, each, topics=NAMES, chain=chain) for each in agents]
    sessions = [each.start() for each in workers]

    def put(op: str, number: int, y: bool | None = None) -> None:
        row = {"id": f"e{number}", "a": 1.0, "b": 2.0, "y": y}
        before, after = (row, None) if op == "d" else (None, row)
        value = {"op": op, "before": before, "after": after}
        time_ms = len(broker.values("shop.rows"))
        broker.put("shop.rows", json.dumps(value).encode(), timestamp_ms=time_ms)

    for op, number in (("c", 0), ("r", 1), ("c", 2), ("u", 0)):
        put(op, number)
    put("u", 0, True)
    put("c", 3, False)  # with its label
    put("d", 1)
    put("u", 1, True)  # of an event that is gone
    put("u", 2, False)
    put("u", 2, False)  # another column has changed
    for session in sessions:
        while work(session):
            pass
    assert sorted(read(broker)) == ["e0", "e1", "e2", "e3"]
    outcomes = [json.loads(each or b"") for each in broker.values("p.outcomes")]
    assert [(e["event_id"], e["fate"], e["label"], e["label_source"]) for e in outcomes] == [
        ("e0", "joined", True, "rows"),
        ("e3", "joined", False, "event"),  # of this pipeline, events have their labels, too
        ("e1", "removed", None, None),
        ("e1", "late", True, "rows"),
        ("e2", "joined", False, "rows"),
        ("e2", "duplicate", False, "rows"),
    ]
    rejects = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert [each["reason"] for each in rejects] == ["late_label", "duplicate_label"]
    assert workers[0].count("rows_passed_over_total", says="nothing") == 1
    assert workers[0].count("rows_passed_over_total", says="gone") == 1


def decode(value: bytes, headers: dict[str, bytes | None]) -> dict[str, Any] | None:
    """Read a form that no envelope knows: numbers by semicolons, and a header that says what."""
    if headers.get("kind") != b"payment":
        return None
    number, a, b = value.split(b";")
    return {"id": f"e{int(number)}", "a": float(a), "b": float(b)}


def test_code_of_the_users_own(pipeline: Pipeline) -> None:
    """It decodes events and labels; what it raises, and what is no event, is rejected."""
    source = Source("raw", decode=decode)
    verdicts = LabelSource(
        "verdicts",
        event_id="id",
        label="y",
        decode=lambda value, _: {"id": value.decode(), "y": True},
    )
    broker = FakeBroker({"raw": 1, "verdicts": 1})
    worker = FakeWorker(broker, replace(pipeline, events=[source], labels=[verdicts]))
    session = worker.start()
    payment = [("kind", b"payment")]
    broker.put("raw", b"0;1.5;2", timestamp_ms=0, headers=payment)
    broker.put("raw", b"1;1.5;2", timestamp_ms=1, headers=[("kind", b"refund")])
    broker.put("raw", b"no payment", timestamp_ms=2, headers=payment)
    broker.put("raw", b"3;nan;2", timestamp_ms=3, headers=payment)
    broker.put("verdicts", b"e0", timestamp_ms=4)
    while work(session):
        pass
    assert read(broker) == ["e0"]
    rejects = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert [each["reason"] for each in rejects] == ["source_error", "not_finite"]
    assert "ValueError" in rejects[0]["detail"]
    assert worker.count("rows_passed_over_total", says="nothing") == 1
    (outcome,) = [json.loads(each or b"") for each in broker.values("p.outcomes")]
    assert (outcome["event_id"], outcome["fate"], outcome["label"]) == ("e0", "joined", True)


@pytest.mark.parametrize("made", [7, ["e0"], "e0"])
def test_code_that_returns_no_event(made: Any, pipeline: Pipeline) -> None:
    """What is no dictionary is rejected."""
    broker = FakeBroker({"raw": 1})
    source = Source("raw", decode=lambda *_: made)
    session = FakeWorker(broker, replace(pipeline, events=[source])).start()
    broker.put("raw", b"?")
    work(session)
    (reject,) = [json.loads(each or b"") for each in broker.values("p.rejects")]
    assert (reject["reason"], reject["detail"][:37]) == (
        "wrong_shape",
        "decode must return a dictionary, or N",
    )


@pytest.mark.parametrize(
    ("start", "before"),
    [
        ("earliest", [0, 1, 2, 3]),
        ("latest", []),
        (datetime.fromtimestamp(1.5, UTC), [2, 3]),
        (datetime.fromtimestamp(9, UTC), []),
    ],
)
def test_where_it_begins(start: Any, before: list[int], pipeline: Pipeline) -> None:
    """A source is read from its beginning, from its end or from a time; then it goes on."""
    broker = FakeBroker({"more": 1})
    later = replace(pipeline, events=[Source("more", start=start)])

    def put(number: int) -> None:
        row = {"id": f"e{number}", "a": 1.0, "b": 2.0}
        broker.put("more", json.dumps(row).encode(), timestamp_ms=number * 1000)

    for number in range(4):
        put(number)
    for numbers in ([*before, 4], [*before, 4, 5]):
        worker = FakeWorker(broker, later, "ingest", chain="default")
        engine = worker.engine()
        _work(engine)
        put(numbers[-1])
        _work(engine)
        asyncio.run(engine.close())
        found = [bytes(each or b"") for each in broker.values("p.clean")]
        assert len(found) == len(numbers)
        assert all(f"e{n}".encode() in each for n, each in zip(numbers, found, strict=True))


def test_a_start_that_state_cannot_have_is_refused(pipeline: Pipeline) -> None:
    """Where ingest shares an agent with what keeps state, before anything is created."""
    later = replace(pipeline, events=[Source("more", start="latest")])
    broker = FakeBroker({"more": 4})
    full = Settings(broker="b:9092", chain="full")
    with pytest.raises(SettingsError, match="must be 'earliest' where ingest shares"):
        prepare_topics(FakeClients(broker), later, full)
    assert [*broker.topics] == ["more"]
    prepare_topics(FakeClients(broker), later, Settings(broker="b:9092", chain="default"))


@pytest.mark.parametrize("start", ["first", 7, datetime(2026, 1, 1)])
def test_a_start_that_is_none_is_refused(start: Any) -> None:
    """The error names the parameter."""
    with pytest.raises(DefinitionError, match="start must be"):
        Source("more", start=start)


LATEST = Source("more", start="latest")


def put_row(broker: FakeBroker, number: int, partition: int = 0, topic: str = "more") -> None:
    row = json.dumps({"id": f"e{number}", "a": 1.0, "b": 2.0}).encode()
    broker.put(topic, row, partition=partition, timestamp_ms=number)


def ids(broker: FakeBroker) -> list[str]:
    """Return the ids of the events that have passed, sorted."""
    found = (re.search(rb"e\d+", each or b"") for at in (0, 1) for each in clean(broker, at))
    return sorted(each[0].decode() for each in found if each)


def clean(broker: FakeBroker, partition: int) -> list[bytes | None]:
    return broker.values("p.clean", partition) if partition < len(broker.topics["p.clean"]) else []


def forget_first_partitions(broker: FakeBroker, group: str) -> None:
    """Let the metadata of offsets be those of a release that did not keep them."""
    known = broker.groups[group].metadata
    assert known["more", 0].split()[1] == "2/2"
    known.update({at: re.sub(r"/\d+", "", text) for at, text in known.items()})


@pytest.mark.parametrize("is_of_before", [False, True])
@pytest.mark.parametrize("start", ["latest", datetime.fromtimestamp(9, UTC)])
def test_a_partition_that_is_added_is_read_from_its_beginning(
    start: Any, is_of_before: bool, pipeline: Pipeline
) -> None:
    """The group had begun with its topic: what is on it has come since, whoever takes it over."""
    broker = FakeBroker({"more": 2})
    later = replace(pipeline, events=[Source("more", start=start)])
    for partition in (0, 1):
        put_row(broker, 1, partition)
    worker = FakeWorker(broker, later, "ingest", chain="default")
    engine = worker.engine()
    _work(engine)
    put_row(broker, 2)
    _work(engine)
    assert ids(broker) == ["e2"]
    asyncio.run(engine.close())
    if is_of_before:
        forget_first_partitions(broker, worker.group)
    widen_topics(worker.clients, {"more": 3})
    put_row(broker, 3, 2)
    for number in (4, 5):
        engine = FakeWorker(broker, later, "ingest", chain="default").engine()
        _work(engine)
        put_row(broker, number, 2)
        _work(engine)
        asyncio.run(engine.close())
    assert ids(broker) == ["e2", "e3", "e4", "e5"]


def test_workers_that_begin_together_read_no_history(pipeline: Pipeline) -> None:
    """One that takes its partition just after another has committed begins at the end, too."""
    broker = FakeBroker({"more": 2})
    later = replace(pipeline, events=[LATEST])
    for partition in (0, 1):
        put_row(broker, 1, partition)
    first, second = (FakeWorker(broker, later, "ingest", chain="default") for _ in range(2))
    one, other = first.connect(), second.connect()
    other.poll(1)  # waits for the first, which is assigned its partition now
    one.poll(1)
    offsets = broker.groups[first.group].offsets
    assert ("more", 0) in offsets
    assert ("more", 1) not in offsets
    other.poll(1)
    for partition in (0, 1):
        put_row(broker, 2 + partition, partition)
    work(one)
    work(other)
    assert ids(broker) == ["e2", "e3"]


def test_where_it_begins_is_kept_before_anything_comes(pipeline: Pipeline) -> None:
    """What comes to an empty partition while no worker runs is not passed over."""
    broker = FakeBroker({"more": 1})
    later = replace(pipeline, events=[LATEST])
    first, second = (FakeWorker(broker, later, "ingest", chain="default") for _ in range(2))
    first.start()
    crash(first)
    put_row(broker, 1)
    _work(second.engine())
    assert ids(broker) == ["e1"]


def test_it_is_kept_before_the_first_record_is_folded(pipeline: Pipeline) -> None:
    """Records that are read together with the assignment are not passed over where they fail."""
    broker = FakeBroker({"more": 1})
    later = replace(pipeline, events=[LATEST])
    first, second = (FakeWorker(broker, later, "ingest", chain="default") for _ in range(2))
    put_row(broker, 1, topic="p.events")
    session = first.connect()
    assert len(session.poll(10)) == 1  # and it fails
    crash(first)
    put_row(broker, 2)
    _work(second.engine())
    assert ids(broker) == ["e1", "e2"]


def test_a_topic_that_was_created_again_is_read_from_its_beginning(pipeline: Pipeline) -> None:
    """Kafka has forgotten where the group was; the worker knows that it had begun before."""
    broker = FakeBroker({"more": 1})
    later = replace(pipeline, events=[LATEST])
    worker = FakeWorker(broker, later, "ingest", chain="default")
    engine = worker.engine()
    put_row(broker, 1)
    _work(engine)
    broker.delete("more")
    broker.create("more", 2)
    for partition in (0, 1):
        put_row(broker, 2 + partition, partition)
    with capture_logs() as logs:
        assert engine._session is not None
        engine._session.is_broken = True  # as it is after any error
        engine._disconnect()
        _work(engine)
    assert ids(broker) == ["e2", "e3"]
    warned = [each for each in logs if each["event"].startswith("reading a topic from its begin")]
    assert [(each["topic"], each["partition"]) for each in warned] == [("more", 0), ("more", 1)]
    metadata = broker.groups[worker.group].metadata
    assert metadata["more", 0].split()[1] == "2/0"


@pytest.mark.parametrize("name", ["shop.rows", "p.rows"])
def test_people_see_its_full_name(name: str, pipeline: Pipeline) -> None:
    """In metrics and errors; those of every pipeline have their short names in metrics."""
    broker = FakeBroker({name: 1})
    worker = FakeWorker(broker, pipeline, "ingest", topics={"rows": name}, chain="default")
    engine = worker.engine()
    for number in range(3):
        broker.put(name, change("c", number))
    _work(engine)
    rendered = worker.metrics.render().decode()
    assert {*re.findall(r'[{,]topic="([^"]+)"', rendered)} >= {name, "events", "labels"}
    assert not re.search(r'topic="(@|rows)', rendered)
    assert worker.count("consumer_lag_records", agent="ingest", topic=name, partition="0") == 0
    asyncio.run(engine.close())
    for number in range(3):
        broker.put(name, change("c", number))
    broker.expire(name, before=4)
    refused = FakeWorker(broker, pipeline, "ingest", topics={"rows": name}, chain="default")
    with pytest.raises(BrokerError, match=rf"agent ingest needs {re.escape(name)}\[0\] from"):
        refused.start()
    crash(refused)
    accepting = {"topics": {"rows": name}, "chain": "default", "accept_gaps": True}
    other = FakeWorker(broker, pipeline, "ingest", **accepting)
    with capture_logs() as logs:
        assert work(other.connect()) == 2
    (gap,) = [each for each in logs if each["event"].startswith("continuing behind a gap")]
    assert gap["topic"] == name
    assert other.count("records_skipped_total", agent="ingest", topic=name) == 1


def test_a_source_that_is_deleted(pipeline: Pipeline) -> None:
    """Its owner has to create it again: neither a worker nor `millrace topics` would."""
    broker = FakeBroker({"shop.rows": 1})
    worker = FakeWorker(broker, pipeline, "ingest", topics=NAMES, chain="default")
    session = worker.start()
    broker.delete("shop.rows")
    worker.pass_time()
    with pytest.raises(TopicError, match=r"no topic shop\.rows any more.* owns it has to") as error:
        session.poll(1)
    assert "millrace topics" not in str(error.value)


def test_a_restart_for_a_topic_is_an_error_of_one_line(pipeline: Pipeline) -> None:
    """Nobody else logs it: others reach Faust, which logs them as errors."""
    broker = FakeBroker({"shop.rows": 1})
    worker = FakeWorker(broker, pipeline, "ingest", topics=NAMES, chain="default")

    async def work_on() -> None:
        engine = worker.engine()
        broker.before("poll", lambda: broker.put("shop.rows", change("c", 1)))
        assert await engine.next_batch() is not None
        broker.delete("shop.rows")
        worker.pass_time()
        with pytest.raises(TopicError):
            await engine.next_batch()
        broker.create("shop.rows", 1)
        broker.put("shop.rows", change("c", 2))
        assert await engine.next_batch() is not None
        await engine.close()

    with capture_logs() as logs:
        asyncio.run(work_on())
    (restart,) = [each for each in logs if each["event"].startswith("restarting")]
    assert restart["log_level"] == "error"
    assert "owns it has to create it again" in restart["reason"]


def test_a_name_that_no_source_has_is_told(pipeline: Pipeline) -> None:
    """Where a topic is missing, and in the log, since a definition to come may have it."""
    clients = FakeClients(FakeBroker({"row": 1}))
    settings = Settings(broker="b:9092", topics={"row": "shop.rows"})
    with capture_logs() as logs, pytest.raises(TopicError, match=r"'row', which .* mean 'rows'"):
        find_sources(clients, pipeline, settings)
    (warned,) = logs
    assert (warned["name"], warned["did_you_mean"]) == ("row", "rows")
    find_sources(FakeClients(FakeBroker({"rows": 1})), pipeline, settings)
