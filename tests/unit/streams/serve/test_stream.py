"""What workers write is streamed as it comes."""

from __future__ import annotations

import asyncio
import json

from millrace.streams.serve import stream
from millrace.streams.serve.knowledge import Seen
from millrace.streams.serve.stream import Hub
from tests.unit.streams.serve.conftest import prediction


def seen(number, topic="predictions"):
    return Seen(topic, 0, number, b"", prediction(f"e{number}"))


def listened(publish, topics=("predictions",)):
    """Return what a listener is given, of what is published and closed then."""

    async def run():
        hub = Hub()
        listener = hub.listen(topics)
        found = [await anext(listener)]
        publish(hub)
        found.append(await anext(listener))
        hub.close()
        found += [each async for each in listener]
        assert not len(hub)
        return found

    return asyncio.run(run())


def test_a_record_is_an_event():
    """Its topic, its place, and what it says; those of other topics are left out."""

    def publish(hub):
        hub.publish(seen(1, "alerts"))
        hub.publish(seen(2))

    _, event, *rest = listened(publish)
    lines = event.splitlines()
    assert lines[:2] == ["event: predictions", "id: predictions-0-2"]
    assert json.loads(lines[2].removeprefix("data: "))["event_id"] == "e2"
    assert event.endswith("\n\n")
    assert rest == []


def test_who_is_too_slow_is_told_how_many_records_are_lost(monkeypatch):
    """Nobody else waits, and memory stays bounded."""
    monkeypatch.setattr(stream, "_MOST_QUEUED", 10)

    def publish(hub):
        for number in range(25):
            hub.publish(seen(number))

    _, lost, *_ = listened(publish)
    assert lost == 'event: lost\ndata: {"records": 15}\n\n'


def test_a_stream_without_records_stays_open(monkeypatch):
    """A comment now and then keeps proxies from closing it."""
    monkeypatch.setattr(stream, "_ALIVE_SECONDS", 0.01)
    assert listened(lambda _: None)[1] == ": nothing new\n\n"


def test_a_stream_ends_when_the_process_stops(world):
    """And the answer is one of server-sent events."""

    async def test(client, service):
        async def stop():
            await asyncio.sleep(0.05)
            service.stop()

        stopping = asyncio.create_task(stop())
        answer = await client.get("/v1/stream", params={"topics": "alerts,audit"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text.startswith(": listening")
        await stopping

    world.serve(test)


def test_there_may_not_be_too_many_streams(world, monkeypatch):
    """503, and others go on."""
    monkeypatch.setattr("millrace.streams.serve.app.MOST_LISTENERS", 0)

    async def test(client, _service):
        assert (await client.get("/v1/stream")).status_code == 503

    world.serve(test)
