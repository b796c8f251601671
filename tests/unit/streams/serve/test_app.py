"""What requests are answered with, and what reaches Kafka."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from millrace.streams.serve import knowledge, sending
from millrace.streams.serve import waiting as waits
from millrace.streams.serve.access import Access
from tests.unit.streams.serve.conftest import audit, outcome, prediction, until

EVENT = {"id": "e1", "a": 1.0, "b": 2.0}
WAIT = {"wait": "prediction"}


def test_an_event_is_taken_once_the_broker_has_it(world):
    """202 says where the record is and where to ask for its prediction."""

    async def test(client, _service):
        answer = await client.post("/v1/events", json=EVENT)
        assert answer.status_code == 202
        assert answer.headers["location"] == "/v1/predictions/e1"
        place = {"topic": "p.events", "partition": 0, "offset": 0}
        assert answer.json() == {"event_id": "e1", **place, "prediction": "/v1/predictions/e1"}

    world.serve(test)
    assert world.sent("events") == [EVENT]


def test_an_event_that_waits_is_answered_with_its_prediction(world):
    """As it was served and logged; and so is the same event later, without being sent again."""

    async def test(client, _service):
        working = asyncio.create_task(world.work())
        first = await client.post("/v1/events", params=WAIT, json=EVENT)
        again = await client.post("/v1/events", json=EVENT | {"a": 7.0})
        working.cancel()
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()
        assert first.json()["value"] is True
        assert first.json()["outcome"] is None

    world.serve(test)
    assert world.sent("events") == [EVENT]


def test_who_sends_an_event_that_is_waited_for_waits_with_them(world):
    """Two requests at a time with one id make one record, and have one answer."""

    async def test(client, service):
        both = [client.post("/v1/events", params=WAIT, json=EVENT) for _ in range(2)]
        waiting = asyncio.gather(*both)
        await until(lambda: len(service.waits))
        world.predict("e1", False)
        answers = await waiting
        assert [each.json()["value"] for each in answers] == [False, False]

    world.serve(test)
    assert len(world.sent("events")) == 1


def test_a_wait_that_times_out_says_where_the_event_is(world):
    """504 has the place of the record, which is taken all the same."""

    async def test(client, service):
        answer = await client.post("/v1/events", params=WAIT | {"timeout": 0.1}, json=EVENT)
        assert answer.status_code == 504
        assert answer.headers["content-type"] == "application/problem+json"
        found = answer.json()
        assert found["type"] == "urn:millrace:problem:no_prediction_yet"
        assert found["detail"].endswith("the event was taken, as p.events[0]@0")
        assert (found["fix"], found["offset"]) == ("Ask GET /v1/predictions/e1.", 0)
        assert not len(service.waits)

    world.serve(test)
    assert world.sent("events") == [EVENT]


@pytest.mark.parametrize(
    ("reason", "status"), [("timestamp_out_of_range", 422), ("duplicate_event", 409)]
)
def test_an_event_that_is_rejected_is_answered_with_the_reason(world, reason, status):
    """The reject is found by the place of the record, whether it is read first or the place is."""

    async def test(client, service):
        waiting = asyncio.create_task(client.post("/v1/events", params=WAIT, json=EVENT))
        await until(lambda: len(service.waits))
        world.reject(reason, "field 'at' must be later")
        answer = await waiting
        assert answer.status_code == status
        assert answer.json()["reason"] == reason
        assert answer.json()["field"] == "at"

    world.serve(test)


def test_a_duplicate_of_what_is_under_way_waits_for_its_prediction(world):
    """Whoever sends an event again after 504 has its prediction, and no 409 before it is there."""

    async def test(client, service):
        first = await client.post("/v1/events", params=WAIT | {"timeout": 0.1}, json=EVENT)
        assert first.status_code == 504
        waiting = asyncio.create_task(client.post("/v1/events", params=WAIT, json=EVENT))
        await until(lambda: len(world.sent("events")) == 2)
        world.reject("duplicate_event", offset=1)
        await until(lambda: service.knowledge.rejected)
        await asyncio.sleep(2 * waits.GRACE_SECONDS)
        assert not waiting.done()
        world.predict("e1")
        assert (await waiting).status_code == 200
        assert not len(service._under_way)

    world.serve(test)


def test_a_duplicate_of_what_was_predicted_long_ago_is_one_however_often(world, monkeypatch):
    """409 says where to look, and what else to do."""
    monkeypatch.setattr(waits, "DUPLICATE_GRACE_SECONDS", 0.05)

    async def test(client, service):
        assert (await client.post("/v1/events", json=EVENT)).status_code == 202
        assert len(service._under_way) == 1
        world.reject("duplicate_event")
        await until(lambda: not len(service._under_way))
        for offset in (1, 2):
            waiting = asyncio.create_task(client.post("/v1/events", params=WAIT, json=EVENT))
            await until(lambda offset=offset: len(world.sent("events")) == offset + 1)
            world.reject("duplicate_event", offset=offset)
            answer = await waiting
            assert answer.status_code == 409
            assert "GET /v1/predictions/e1" in answer.json()["fix"]

    world.serve(test)


def test_of_what_is_under_way_the_newest_are_known(monkeypatch):
    """So that memory is bounded."""
    monkeypatch.setattr(waits, "_MOST_UNDER_WAY", 2)
    under_way = waits.UnderWay()
    places = [sending.RecordPlace("p.events", 0, offset) for offset in range(3)]
    assert [under_way.add(str(number), place) for number, place in enumerate(places)] == [False] * 3
    assert [under_way.add(each, places[0]) for each in "120"] == [True, True, False]
    under_way.end("2")
    under_way.end_at(places[0])
    assert not len(under_way)


def test_an_event_that_the_broker_finds_too_large_is_not_to_be_sent_again(world):
    """413, where others get 503."""
    world.broker.refused["p.events"] = KafkaError.MSG_SIZE_TOO_LARGE

    async def test(client, _service):
        answer = await client.post("/v1/events", json=EVENT)
        assert (answer.status_code, answer.json()["reason"]) == (413, "oversized")

    world.serve(test)


def test_a_reject_that_is_read_before_the_brokers_answer_counts(world):
    """A worker may be faster than the acknowledgement."""

    async def test(client, service):
        world.reject("feature_error", "it raised")
        await until(lambda: service.knowledge.rejected)
        answer = await client.post("/v1/events", params=WAIT, json=EVENT)
        assert (answer.status_code, answer.json()["detail"]) == (422, "it raised")

    world.serve(test)


def test_an_event_that_is_rejected_behind_ingest_is_found_by_its_id(world, make_pipeline):
    """Its record is then one of `clean`, at another place."""
    event = {"event_id": "e1", "key": None, "event_time_ms": 1, "label": None}
    clean = make_pipeline().event_schema.clean.encode(
        event | {"fields": {"id": "e1", "a": 1.0, "b": 2.0}}
    )

    async def test(client, service):
        waiting = asyncio.create_task(client.post("/v1/events", params=WAIT, json=EVENT))
        await until(lambda: len(service.waits))
        world.reject("feature_error", "it raised", topic="p.clean", offset=77, value=clean)
        assert (await waiting).json()["reason"] == "feature_error"

    world.serve(test)


def test_a_prediction_counts_more_than_a_reject(world):
    """The label inside an event may be rejected, and the reject be read before the prediction."""

    async def test(client, service):
        waiting = asyncio.create_task(client.post("/v1/events", params=WAIT, json=EVENT))
        await until(lambda: len(service.waits))
        world.reject("unknown_class", "one too many")
        await until(lambda: service.knowledge.rejected)
        world.predict("e1")
        assert (await waiting).status_code == 200

    world.serve(test)


@pytest.mark.parametrize(
    ("body", "status", "kind", "field"),
    [
        (b"{", 400, "malformed", None),
        (b"", 422, "wrong_shape", None),
        (b"17", 422, "wrong_shape", None),
        (b'{"id": "e1", "a": 1.0}', 422, "missing_field", "b"),
        (b'{"id": "e1", "a": "one", "b": 1}', 422, "ill_typed_field", "a"),
        (b'{"id": "", "a": 1, "b": 1}', 422, "missing_id", "id"),
        (b'{"id": "%s", "a": 1, "b": 1}' % (b"x" * 10_000), 413, "oversized", None),
    ],
)
def test_what_ingest_would_reject_at_once_is_refused(world, body, status, kind, field):
    """The problem names reason, field and fix, and nothing is sent."""

    async def test(client, _service):
        headers = {"content-type": "application/json"}
        answer = await client.post("/v1/events", content=body, headers=headers)
        assert answer.status_code == status
        found = answer.json()
        assert (found["reason"], found.get("field")) == (kind, field)
        assert found["fix"]

    world.serve(test)
    assert world.sent("events") == []


def test_each_event_of_an_array_has_an_answer_of_its_own(world):
    """In order: what it would have been answered with alone."""

    async def test(client, _service):
        events = [EVENT, {"id": "e2"}, EVENT | {"id": "e3"}]
        answer = await client.post("/v1/events", json=events)
        assert answer.status_code == 200
        items = answer.json()["items"]
        assert [each["status"] for each in items] == [202, 422, 202]
        assert items[1]["body"]["reason"] == "missing_field"

    world.serve(test)
    assert [each["id"] for each in world.sent("events")] == ["e1", "e3"]


def test_an_array_waits_for_the_predictions_of_all(world):
    """Each item has its own."""

    async def test(client, _service):
        working = asyncio.create_task(world.work())
        events = [EVENT | {"id": f"e{number}"} for number in range(50)]
        answer = await client.post("/v1/events", params=WAIT, json=events)
        working.cancel()
        found = [each["body"]["event_id"] for each in answer.json()["items"]]
        assert found == [each["id"] for each in events]

    world.serve(test)


def test_what_the_broker_does_not_take_is_said(world):
    """503, and the client may send it again."""
    world.broker.refused["p.events"] = 29  # TOPIC_AUTHORIZATION_FAILED

    async def test(client, _service):
        for params in ({}, WAIT):
            answer = await client.post("/v1/events", params=params, json=EVENT)
            assert answer.status_code == 503
            assert answer.json()["type"].endswith("not_acknowledged")
            assert answer.headers["retry-after"]

    world.serve(test)


def test_what_the_broker_does_not_answer_in_time_may_be_taken(world, monkeypatch):
    """503 as well: by its id it counts once."""
    monkeypatch.setattr(sending.Sender, "_poll", lambda _self: None)
    monkeypatch.setattr("millrace.streams.serve.service.ACKNOWLEDGED_SECONDS", 0.05)

    async def test(client, _service):
        answer = await client.post("/v1/events", json=EVENT)
        assert answer.status_code == 503
        assert "did not answer in time" in answer.json()["detail"]

    world.serve(test)


def test_who_waits_when_the_process_stops_is_told(world):
    """503 says that the event was taken, and where to ask."""

    async def test(client, service):
        waiting = asyncio.create_task(client.post("/v1/events", params=WAIT, json=EVENT))
        await until(lambda: world.sent("events"))
        await asyncio.sleep(0.05)
        service.stop()
        answer = await waiting
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("stopping")
        assert "the event was taken" in answer.json()["detail"]

    world.serve(test)


def test_a_label_is_taken(world):
    """It goes to `labels`, with the key that its event has."""

    async def test(client, _service):
        answer = await client.post("/v1/labels", json={"event_id": "e1", "label": True})
        assert answer.status_code == 202
        assert answer.json()["topic"] == "p.labels"
        wrong = await client.post("/v1/labels", json=[{"event_id": "e1"}])
        assert wrong.json()["items"][0]["body"]["field"] == "label"

    world.serve(test)
    assert world.sent("labels") == [{"event_id": "e1", "label": True}]


def test_a_prediction_comes_with_what_became_of_its_event(world):
    """The fate is that of the event: a label that came twice does not change it."""
    world.predict("e1")
    world.write("outcomes", outcome("e1", "early"))
    world.write("outcomes", outcome("e1"))
    world.write("outcomes", outcome("e1", "duplicate", label=False))

    async def test(client, _service):
        answer = await client.get("/v1/predictions/e1")
        assert answer.status_code == 200
        found = answer.json()["outcome"]
        assert (found["fate"], found["label"]) == ("joined", True)

    world.serve(test)


def test_a_prediction_comes_with_its_reasons(world):
    """Where the pipeline asks for them: what each feature adds, as it is on the topic."""
    reasons = {
        "scale": "log-odds",
        "base": 0.5,
        "of": True,
        "against": None,
        "contributions": {"a": 1.25, "b": -0.5},
        "rest": 0.0,
        "why_none": "",
    }
    world.write("predictions", prediction("e1") | {"reasons": reasons})
    world.predict("e2")

    async def test(client, _service):
        assert (await client.get("/v1/predictions/e1")).json()["reasons"] == reasons
        assert (await client.get("/v1/predictions/e2")).json()["reasons"] is None

    world.serve(test)


def test_a_prediction_that_is_not_known_is_not_found(world):
    """404 says how many are known; an id may have slashes."""
    world.predict("a/b c")

    async def test(client, _service):
        answer = await client.get("/v1/predictions/e1")
        assert answer.status_code == 404
        assert "100,000" in answer.json()["detail"]
        assert (await client.get("/v1/predictions/a%2Fb%20c")).json()["event_id"] == "a/b c"

    world.serve(test)


def test_an_event_whose_id_is_no_field_is_refused(make_world):
    """Where the key of the Kafka record is the id, HTTP has none."""
    from millrace import MessageKey

    async def test(client, _service):
        answer = await client.post("/v1/events", json=EVENT)
        assert answer.status_code == 501
        assert "event_id of the pipeline is MessageKey" in answer.json()["detail"]

    make_world(event_id=MessageKey()).serve(test)


def test_a_command_is_taken_in_the_name_of_who_asks(world):
    """Its record has the name, whatever the body says; the audit has what came of it."""

    async def test(client, _service):
        body = {"id": "c1", "command": "pause", "why": "a holiday"}
        answer = await client.post("/v1/commands", json=body)
        assert answer.status_code == 202
        assert answer.json()["audit"] == "/v1/audit?command_id=c1"
        world.write("audit", audit(number=2, command_id="c1"), partition=1)
        await until_audit(client, "c1")

    world.serve(test)
    (command,) = world.sent("commands")
    assert command.pop("time_ms") > 0
    assert command == {
        "id": "c1", "command": "pause", "arguments": {}, "who": "anybody", "why": "a holiday"
    }  # fmt: skip


async def until_audit(client, command_id):
    for _ in range(1_000):
        found = (await client.get("/v1/audit", params={"command_id": command_id})).json()
        if found["records"]:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("no entry")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"command": "promote"}, "promote must have the argument model"),
        ({"command": "odd"}, "command must be one of"),
        ({"command": "pause", "who": "somebody"}, "who: Extra inputs"),
        ({}, "command: Field required"),
        (17, "Input should be an object"),
    ],
)
def test_a_wrong_command_is_refused(world, body, says):
    """422 says what is wrong, and nothing is sent."""

    async def test(client, _service):
        answer = await client.post("/v1/commands", json=body)
        assert answer.status_code == 422
        assert says in answer.json()["detail"]

    world.serve(test)
    assert world.sent("commands") == []


def test_what_is_known_of_the_pipeline_can_be_read(world):
    """Alerts, rejects, the audit, definitions: the newest first, as many as asked for."""
    for number in range(3):
        world.reject("malformed", f"number {number}", offset=number)

    async def test(client, service):
        found = (await client.get("/v1/rejects", params={"limit": 2})).json()["records"]
        assert [each["detail"] for each in found] == ["number 2", "number 1"]
        assert found[0]["value"] == "e30="
        short = (await client.get("/v1/rejects", params={"values": False})).json()["records"]
        assert [each["value"] for each in short] == [None] * 3
        assert short[0] == found[0] | {"value": None}
        definitions = (await client.get("/v1/definitions")).json()
        assert definitions["in_force"] == service.definition.reference
        assert [each["who"] for each in definitions["definitions"]] == ["anna"]
        assert (await client.get("/v1/alerts")).json() == {"records": []}
        assert (await client.get("/v1/evaluations")).json() == {"records": []}
        assert (await client.get("/v1/models")).json()["candidates"] == {}

    world.serve(test)


def test_a_list_has_no_more_than_an_answer_takes(world, monkeypatch):
    """Rejects have the bytes of what was rejected; one is there at least."""
    monkeypatch.setattr(knowledge, "_MOST_LISTED_BYTES", 5_000)
    for number in range(10):
        world.reject("malformed", f"number {number}", offset=number, value=b"x" * 2_000)

    async def test(client, _service):
        found = (await client.get("/v1/rejects")).json()["records"]
        assert [each["detail"] for each in found] == ["number 9", "number 8"]
        monkeypatch.setattr(knowledge, "_MOST_LISTED_BYTES", 5)
        assert len((await client.get("/v1/rejects")).json()["records"]) == 1

    world.serve(test)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/alerts?limit=0", 422, "wrong_parameter"),
        ("GET", "/v1/stream?topics=odd", 422, "wrong_parameter"),
        ("POST", "/v1/events?wait=odd", 422, "wrong_parameter"),
        ("POST", "/v1/events?timeout=61", 422, "wrong_parameter"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/events", 405, "method_not_allowed"),
    ],
)
def test_every_error_is_a_problem(world, method, path, status, kind):
    """Whoever raises it: it has a type, a detail and a fix."""

    async def test(client, _service):
        answer = await client.request(method, path, json=EVENT if method == "POST" else None)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"urn:millrace:problem:{kind}"
        assert answer.json()["fix"]

    world.serve(test)


def test_a_failure_of_millrace_is_a_problem(world, monkeypatch):
    """500 tells nothing of what happened: the log does."""

    async def test(client, service):
        monkeypatch.setattr(service.knowledge, "models", lambda: 1 / 0)
        with capture_logs() as lines:  # not on a terminal, where Rich takes long
            answer = await client.get("/v1/models")
        assert answer.status_code == 500
        assert answer.json()["detail"] == "Millrace failed"
        assert [each["path"] for each in lines] == ["/v1/models"]

    world.serve(test)


def test_a_body_must_say_that_it_is_json(world):
    """A page of the web could send others without asking (CORS)."""

    async def test(client, _service):
        headers = {"content-type": "text/plain"}
        answer = await client.post("/v1/commands", content=b"{}", headers=headers)
        assert answer.status_code == 415

    world.serve(test)


def test_a_body_may_not_be_too_large(world, monkeypatch):
    """It is refused before it is read to its end; and so is an array that is too long."""
    monkeypatch.setattr("millrace.streams.serve.bodies.MOST_BODY_BYTES", 5_000)

    async def test(client, _service):
        assert (await client.post("/v1/events", json=[EVENT] * 1_000)).status_code == 413
        answer = await client.post("/v1/events", json=[1] * 1_001)
        assert (answer.status_code, answer.json()["type"][-14:]) == (413, "too_many_items")

    world.serve(test)


def test_bodies_may_not_be_too_large_together(world, monkeypatch):
    """They are kept until their requests are answered, which may take a while."""
    monkeypatch.setattr("millrace.streams.serve.access._MOST_HELD_BYTES", 1_000)
    access = Access()

    async def test(client, service):
        large = EVENT | {"c": "x" * 600}
        waiting = asyncio.create_task(client.post("/v1/events", params=WAIT, json=large))
        await until(lambda: len(service.waits))
        answer = await client.post("/v1/events", json=large | {"id": "e2"})
        assert (answer.status_code, answer.json()["type"][-8:]) == (503, "too_much")
        assert (await client.post("/v1/events", json=EVENT | {"id": "e3"})).status_code == 202
        world.predict("e1")
        assert (await waiting).status_code == 200
        assert (await client.post("/v1/events", json=large | {"id": "e2"})).status_code == 202
        assert access.held.size == 0

    world.serve(test, access)


def test_a_definition_that_comes_into_force_counts_from_then_on(world, make_pipeline, avro):
    """Events are read by its schema, and the document has it."""
    later = make_pipeline(schema=avro(id="string", c="double", y=["null", "boolean"]))

    async def test(client, service):
        before = service.definition.reference
        assert (await client.post("/v1/events", json={"id": "1", "c": 1.0})).status_code == 422
        world.deploy(later)
        await until(lambda: service.definition.reference != before)
        assert (await client.post("/v1/events", json={"id": "1", "c": 1.0})).status_code == 202
        document = (await client.get("/openapi.json")).json()
        assert {*document["components"]["schemas"]["Loan"]["properties"]} == {"id", "c", "y"}

    world.serve(test)


def test_it_is_ready_while_it_follows_the_pipeline(world):
    """Alive in any case."""

    async def test(client, service):
        assert (await client.get("/readyz")).status_code == 200
        service._follower.problem = "away"
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200

    world.serve(test)
