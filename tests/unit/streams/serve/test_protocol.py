"""What comes before there is a request, or instead of one."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress

import pytest

from millrace.streams.serve import protocol

GET = b"GET /v1/alerts HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def answers(port, *parts, pause=0.0):
    """Send some bytes, and return what comes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for each in parts:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(pause)
        return await reader.read()
    finally:
        writer.close()


def problem(answer):
    """Return the status and the document of the last answer."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    document = json.loads(body)
    assert document["fix"]
    return document["status"], document["type"].removeprefix("urn:millrace:problem:")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 100_000,
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ],
)
def test_what_is_no_http_is_told_so(world, sent):
    """400, as a problem, and the connection ends."""

    async def test(port, _server):
        assert problem(await answers(port, sent)) == (400, "malformed_request")

    world.listen(test)


def test_who_sends_no_request_is_let_go(world, monkeypatch):
    """Whether nothing comes or one byte after the other; before the first request or after it."""
    monkeypatch.setattr(protocol, "_REQUEST_SECONDS", 0.2)
    begun = [GET[:1], GET[1:2], GET[2:3]]

    async def test(port, server):
        for parts in ((), begun, (GET, *begun)):
            answer = await asyncio.wait_for(answers(port, *parts, pause=0.01), 5)
            assert problem(answer) == (408, "slow_request")
        assert not server.server_state.connections

    world.listen(test)


def test_who_waits_for_a_prediction_is_not_let_go(world, monkeypatch):
    """That takes as long as it takes: the request is there."""
    monkeypatch.setattr(protocol, "_REQUEST_SECONDS", 0.1)
    body = b'{"id": "e1", "a": 1, "b": 2}'
    head = (
        b"POST /v1/events?wait=prediction&timeout=0.6 HTTP/1.1\r\nhost: localhost\r\n"
        b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    ) % len(body)

    async def test(port, _server):
        found = await answers(port, head, body, pause=0.2)
        assert problem(found) == (504, "no_prediction_yet")

    world.listen(test)


def test_a_client_too_many_is_told_so(world, monkeypatch):
    """503, as a problem; those who are connected are served, and so is who comes later."""
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 3)

    async def test(port, server):
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert problem(await answers(port, GET)) == (503, "too_many_connections")
        reader, writer = others[0]
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        for _, each in others:
            each.close()
        while server.server_state.connections:
            await asyncio.sleep(0.01)
        last = GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        assert (await answers(port, last)).startswith(b"HTTP/1.1 200")

    world.listen(test)


def test_far_too_many_are_not_even_told(world, monkeypatch):
    """So that files are left for Kafka."""
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(protocol, "_MORE_CONNECTIONS", 1)

    async def test(port, _server):
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        with pytest.raises(ConnectionError):
            raise ConnectionError if not await answers(port, GET) else AssertionError
        for _, each in others:
            each.close()

    world.listen(test)


def test_a_body_that_is_cut_off_is_no_failure(world, caplog):
    """The connection ended: nobody is answered, and the log has no error."""
    head = (
        b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: 100\r\n\r\n{"
    )

    async def test(port, server):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        await asyncio.sleep(0.05)
        writer.close()
        while server.server_state.tasks:
            await asyncio.sleep(0.01)
        chunked = head.replace(b"content-length: 100", b"transfer-encoding: chunked")
        assert problem(await answers(port, chunked, b"zz\r\n"))[0] == 400

    world.listen(test)
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


REQUESTS = [
    b"POST /v1/events?wait=prediction&timeout=0.1 HTTP/1.1\r\nhost: localhost\r\ncontent-type:"
    b' application/json\r\ncontent-length: 28\r\n\r\n{"id": "e1", "a": 1, "b": 2}',
    b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b'transfer-encoding: chunked\r\n\r\n1c\r\n{"id": "e2", "a": 1, "b": 2}\r\n0\r\n\r\n',
    b"GET /v1/predictions/e%201?x=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer a\r\n\r\n",
    b"GET /v1/alerts?limit=5 HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\n"
    b"connection: upgrade\r\nexpect: 100-continue\r\n\r\n",
    b"GET /openapi.json HTTP/1.0\r\nhost: localhost\r\nrange: bytes=0-1\r\n\r\n",
]
ODD = [
    *(bytes([each]) for each in b'\0\xff %:[];"\t/?#'),
    b"\r\n",
    b"9" * 30,
    b"\xed\xa0\x80",
    b"%00",
]


def spoilt(request, rng):
    """Return a request with some of its bytes changed, left out, repeated or put in."""
    made = bytearray(request)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(made) or 1)
        match rng.randrange(4):
            case 0:
                made[place:place] = rng.choice(ODD)
            case 1:
                made[place : place + 1] = rng.randbytes(1)
            case 2:
                del made[place : place + rng.randint(1, 20)]
            case _:
                made[place:place] = made[place : place + rng.randint(1, 40)]
    return bytes(made)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_bytes_come_it_does_not_fail(world, caplog, seed):
    """What is refused is a problem, and the log has no error."""
    rng = random.Random(seed)
    found = []

    async def send(port, request):
        with suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    found.append(await reader.read())
            writer.close()

    async def test(port, _server):
        requests = [spoilt(rng.choice(REQUESTS), rng) for _ in range(60)]
        await asyncio.gather(*(send(port, each) for each in requests))

    world.listen(test)
    statuses = [each.partition(b" ")[2][:3] for each in found]
    assert b"400" in statuses
    for status, answer in zip(statuses, found, strict=True):
        assert status != b"500"
        if status[:1] == b"4":
            assert b"application/problem+json" in answer
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []
