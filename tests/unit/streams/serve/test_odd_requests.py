"""Whatever is sent, the answer is a clear one: never that Millrace failed."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.streams.serve import bodies
from millrace.streams.serve.access import Access
from millrace.streams.serve.definition import InputReader

JSON = {"content-type": "application/json"}
EVENT = {"id": "e1", "a": 1.0, "b": 2.0}
DEEP = b"[" * 4_000 + b"]" * 4_000


def event(text: bytes, number: bytes = b"1") -> bytes:
    return b'{"id": %s, "a": %s, "b": 2}' % (text, number)


ODD = {
    "not a number": (event(b'"1"', b"NaN"), 422, "not_finite"),
    "infinite": (event(b'"2"', b"-Infinity"), 422, "not_finite"),
    "too large for a float": (event(b'"3"', b"1e999"), 422, "not_finite"),
    "a huge integer": (event(b'"4"', b"9" * 400), 422, "ill_typed_field"),
    "an integer that Python does not read": (event(b'"5"', b"9" * 5_000), 400, "malformed"),
    "deep": (event(b'"6"', DEEP), 400, "malformed"),
    "deep in an array": (b"[%s]" % event(b'"7"', DEEP), 400, "malformed"),
    "arrays alone": (b"[" * 5_000, 400, "malformed"),
    "one key twice": (b'{"id": "x", "id": "8", "a": 1, "b": 2}', 202, None),
    "a lone surrogate as the id": (event(rb'"\ud800"'), 422, "ill_typed_field"),
    "one as a name": (rb'{"id": "9", "\ud800": 1}', 422, "missing_field"),
    "one where nobody looks": (rb'{"id": "10", "a": 1, "b": 2, "c": "\udfff"}', 202, None),
    "a byte order mark": (b"\xef\xbb\xbf" + event(b'"11"'), 422, "wrong_shape"),
    "UTF-16": (event(b'"12"').decode().encode("utf-16"), 422, "wrong_shape"),
    "not UTF-8": (event(b'"\xff"'), 400, "malformed"),
    "Avro": (b"\xc3\x01abcdefgh", 422, "wrong_shape"),
    "Confluent's wire format": (b"\x00\x00\x00\x00\x01ab", 422, "wrong_shape"),
    "an empty body": (b"", 422, "wrong_shape"),
    "spaces": (b" \n\t ", 422, "wrong_shape"),
    "an array without an end": (b"[" + event(b'"13"'), 400, "malformed"),
    "more than one": (event(b'"14"') + event(b'"15"'), 400, "malformed"),
    "an id of slashes": (event('"ä/../%2f?#"'.encode()), 202, None),
    "an id of zeros": (event(rb'"\u0000\r\n"'), 202, None),
    "a very long id": (event(b'"%s"' % (b"x" * 2_000)), 413, "oversized"),
    "an id that is true": (event(b"true"), 422, "ill_typed_field"),
    "an id that is nothing": (event(b"null"), 422, "ill_typed_field"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_event_is_taken_or_refused_with_why(world, name):
    """The problem names the reason; what is refused is not sent."""
    body, status, reason = ODD[name]

    async def test(client, _service):
        answer = await client.post("/v1/events", content=body, headers=JSON)
        assert answer.status_code == status, answer.text
        if status != 202:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["reason"] == reason
            assert answer.json()["fix"]
        else:  # its address is one that can be asked for
            known = await client.get(answer.headers["location"])
            assert known.status_code == 404
            assert known.json()["type"].endswith("unknown_prediction")

    world.serve(test)
    assert len(world.broker.values("p.events")) == (status == 202)


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"[]", []),
        (b"[null, 1, [], {}]", [422, 422, 422, 422]),
        (b"[ \n %s , \n %s ]" % (event(b'"1"'), event(b'"\xff"')), [202, 400]),
    ],
)
def test_an_odd_array_has_an_answer_for_each(world, body, statuses):
    """The others do not suffer."""

    async def test(client, _service):
        answer = await client.post("/v1/events", content=body, headers=JSON)
        assert answer.status_code == 200
        assert [each["status"] for each in answer.json()["items"]] == statuses

    world.serve(test)


@pytest.mark.parametrize(
    ("label", "status", "field"),
    [
        (b'{"event_id": "e", "label": []}', 422, "label"),
        (b'{"event_id": "e", "label": true, "label_time_ms": 1e99}', 422, "label_time_ms"),
        (b'{"event_id": "e", "label": true, "label_time_ms": "0000"}', 422, None),
        (rb'{"event_id": "e", "label": "\ud800"}', 422, None),
        (b'{"event_id": "%s", "label": true}' % (b"x" * 2_000), 413, None),
        (b'{"event_id": "e"}', 422, "label"),
        (b'{"label": true}', 422, "event_id"),
    ],
)
def test_an_odd_label_is_refused_with_why(world, label, status, field):
    """The problem names the field, where one is to blame."""

    async def test(client, _service):
        answer = await client.post("/v1/labels", content=label, headers=JSON)
        assert answer.status_code == status
        assert answer.json().get("field") == field

    world.serve(test)
    assert world.sent("labels") == []


@pytest.mark.parametrize(
    "body",
    [
        rb'{"command": "pause", "why": "\ud800"}',
        rb'{"command": "pause", "\udfff": 1}',
        b'{"command": "pause", "why": "\xff"}',
        b'{"command": "promote", "arguments": {"model": 1}}',
        b'{"command": "pause", "id": ""}',
        b'{"command": "pause", "arguments": %s}' % DEEP,
        b'{"command": "pause", "why": NaN}',
        b"\xef\xbb\xbf{}",
        b"[]",
        b"",
    ],
)
def test_an_odd_command_is_refused(world, body):
    """422, and nothing is sent."""

    async def test(client, _service):
        answer = await client.post("/v1/commands", content=body, headers=JSON)
        assert answer.status_code == 422
        assert answer.json()["fix"]

    world.serve(test)
    assert world.sent("commands") == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/predictions/%FF%00", 404),
        ("/v1/predictions/%ED%A0%80", 404),
        ("/v1/predictions/", 422),
        ("/v1/predictions/" + "x" * 5_000, 422),
        ("/v1/alerts?limit=" + "9" * 5_000, 422),
        ("/v1/alerts?limit=1&limit=nan", 422),
        ("/v1/stream?topics=%FF", 422),
        ("/v1/alerts/", 404),
        ("//v1/alerts", 404),
        ("/%2e%2e/etc/passwd", 404),
    ],
)
def test_an_odd_address_is_a_problem(world, path, status):
    """It leads nowhere else, either."""

    async def test(client, _service):
        answer = await client.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"

    world.serve(test)


@pytest.mark.parametrize("timeout", ["nan", "inf", "-1", "0", "", "abc", "60.0000001"])
def test_an_odd_timeout_is_refused(world, timeout):
    """So nobody waits for ever."""

    async def test(client, _service):
        address = f"/v1/events?wait=prediction&timeout={timeout}"
        answer = await client.post(address, json=EVENT)
        assert (answer.status_code, answer.json()["field"]) == (422, "timeout")

    world.serve(test)


@pytest.mark.parametrize("host", ["[", "[::1", "", "a b", "localhost@evil", "localhost.evil", "ÿ"])
def test_an_odd_name_is_not_ours(world, host):
    """421, whatever it is."""

    async def test(client, _service):
        answer = await client.get("/v1/alerts", headers={"host": host.encode("latin-1")})
        assert answer.status_code == 421
        assert answer.json()["type"].endswith("wrong_host")

    world.serve(test, Access(names=frozenset({"localhost"})))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE", "ODD"])
def test_another_method_is_refused(world, method):
    """405 says which there is; probes may ask with HEAD."""

    async def test(client, _service):
        for path, allowed in (("/v1/events", "POST"), ("/v1/stream", "GET")):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
            assert answer.headers["content-type"] == "application/problem+json"
        is_allowed = method == "HEAD"
        assert (await client.request(method, "/readyz")).status_code == (200 if is_allowed else 405)

    world.serve(test)


def test_a_compressed_body_is_refused(world):
    """415 says so, rather than that it is no JSON."""

    async def test(client, _service):
        body, headers = gzip.compress(json.dumps(EVENT).encode()), {"content-encoding": "gzip"}
        answer = await client.post("/v1/events", content=body, headers=JSON | headers)
        assert (answer.status_code, answer.json()["type"][-14:]) == (415, "wrong_encoding")

    world.serve(test)


def test_a_body_that_does_not_come_is_not_waited_for(world, monkeypatch):
    """408 after a while."""
    monkeypatch.setattr(bodies, "_BODY_SECONDS", 0.05)

    async def test(client, _service):
        async def slow():
            yield b"{"
            await asyncio.Event().wait()

        answer = await client.post("/v1/events", content=slow(), headers=JSON)
        assert (answer.status_code, answer.json()["type"][-9:]) == (408, "slow_body")

    world.serve(test)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(values=st.lists(st.fixed_dictionaries({"id": _VALUES, "a": _VALUES, "b": _VALUES})))
@settings(max_examples=20, suppress_health_check=[*HealthCheck])
def test_any_json_is_answered(make_world, values):
    """With a place, or with a reason; and what is sent, `ingest` can read."""
    world = make_world()

    async def test(client, service):
        bodies = [*map(json.dumps, values), json.dumps(values).replace("NaN", "1")]
        for body in bodies:
            for path in ("/v1/events", "/v1/labels", "/v1/commands"):
                content = body.encode(errors="surrogatepass")
                answer = await client.post(path, content=content, headers=JSON)
                assert answer.status_code in (200, 202, 400, 413, 422)
        reader = InputReader(service.definition, 10_000)
        for sent in world.broker.values("p.events"):
            assert reader.event(sent or b"").event_id

    world.serve(test)
