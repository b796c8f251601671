"""Both clients against a server: the one in this process, or one that listens on a port."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from millrace import (
    AsyncClient,
    Client,
    Followed,
    ForbiddenError,
    Gap,
    RefusedError,
    SettingsError,
    UnavailableError,
    UnknownPredictionError,
)
from millrace.streams.serve.access import Access
from millrace.streams.serve.app import make_app
from millrace.streams.serve.service import _address
from millrace.streams.serve.tokens import Role, Tokens, create_token
from tests.unit.streams.serve.conftest import audit, until

EVENT = {"id": "e1", "a": 1.0, "b": 2.0}


def events(count):
    return [EVENT | {"id": str(number)} for number in range(count)]


@asynccontextmanager
async def client_of(service, access=None, **options):
    """Give a client of an application in this process."""
    app = make_app(service, access or Access())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient("http://localhost", transport=transport, **options) as client:
        yield client


def test_what_can_be_asked_for_in_process(world):
    """Each method, as a user would."""

    async def test(_client, service):
        working = asyncio.create_task(world.work())
        async with client_of(service) as client:
            assert (await client.send(EVENT))["offset"] == 0
            found = await client.predict(EVENT)
            assert (found["value"], found["outcome"]) == (True, None)
            assert await client.prediction("e1") == found
            many = await client.predict([*events(20), {"id": "bad"}])
            assert [each["event_id"] for each in many[:-1]] == [str(each) for each in range(20)]
            assert isinstance(many[-1], RefusedError)
            assert (many[-1].reason, many[-1].field) == ("missing_field", "a")
            assert (await client.label("e1", True, key="k"))["topic"] == "p.labels"
            labels = await client.labels([{"event_id": "e1", "label": False}, {}])
            assert [type(each) for each in labels] == [dict, RefusedError]
            taken = await client.command("pause", why="a holiday")
            world.write("audit", audit(number=2, command_id=taken["id"]))
            await until(lambda: len(service.knowledge.newest("audit", 9)) == 2)
            (entry,) = await client.audit(command_id=taken["id"])
            assert entry["action"] == "accepted"
            assert len(await client.audit(limit=1)) == 1
            assert (await client.models())["candidates"] == {}
            assert len((await client.definitions())["definitions"]) == 1
            for records in (client.alerts, client.rejects, client.evaluations):
                assert await records() == []
        working.cancel()

    world.serve(test)
    assert world.sent("commands")[0]["why"] == "a holiday"


def test_what_is_wrong_is_raised_with_the_problem(world):
    """The error has the document of the server."""

    async def test(_client, service):
        async with client_of(service, timeout=0.5) as client:
            with pytest.raises(RefusedError, match="field 'a' must be double") as caught:
                await client.send(EVENT | {"a": "one"})
            assert caught.value.problem["type"] == "urn:millrace:problem:ill_typed_field"
            with pytest.raises(UnknownPredictionError, match="100,000"):
                await client.prediction("nobody")
            with pytest.raises(UnavailableError, match="the event was taken, as p"):
                await client.predict(EVENT)
            with pytest.raises(RefusedError, match="promote must have the argument model"):
                await client.command("promote")

    world.serve(test)


def test_a_prediction_that_is_late_is_asked_for_again(world):
    """The event counts once, however often it was sent: the answer is its prediction."""

    async def test(_client, service):
        async with client_of(service) as client:
            with pytest.raises(UnavailableError):
                await client.predict(EVENT, timeout=0.2)
            waiting = asyncio.create_task(client.predict(EVENT))
            await until(lambda: len(world.sent("events")) > 1)
            world.predict("e1", False)
            assert (await waiting)["value"] is False

    world.serve(test)


def test_a_prediction_is_found_by_whatever_id(world):
    """One of dots is no way up, and one of a line feed is another one than without."""
    ids = [".", "..", "...", "a/../b", "a\n", "a\nb", "\n", "\u2028", "a%2Fb", "a?b#c"]

    async def test(_client, service):
        async with client_of(service) as client:
            for each in ids:
                world.predict(each, each)
            await until(lambda: service.knowledge.prediction(ids[-1]))
            for each in ids:
                assert (await client.prediction(each))["value"] == each
                found = await client._http.get(_address(each))
                assert found.json()["event_id"] == each
            with pytest.raises(UnknownPredictionError):
                await client.prediction("a")

    world.serve(test)


def test_what_is_no_event_and_no_id_is_said_at_once(world):
    """Before anything is sent: names of columns are no events, and numbers are no ids."""

    async def test(_client, service):
        async with client_of(service) as client:
            for events in ("e1", ["size", "age"], [EVENT, None]):
                with pytest.raises(TypeError, match="must be a dictionary"):
                    await client.predict(events)
            with pytest.raises(TypeError, match="event_id must be text; got int 7"):
                await client.prediction(7)
            assert world.sent("events") == []

    world.serve(test)


def test_the_role_of_a_token_counts(world, tmp_path):
    """403 is an error of its own."""
    path = tmp_path / "tokens"
    token = create_token(path, "anna", Role.VIEWER)

    async def test(_client, service):
        access = Access(Tokens(path))
        async with client_of(service, access, token=token) as client:
            assert await client.alerts() == []
            with pytest.raises(ForbiddenError, match="the role viewer of anna"):
                await client.send(events(3))
        async with client_of(service, access) as client:
            with pytest.raises(ForbiddenError, match="no token that is known"):
                await client.alerts()

    world.serve(test)


def test_what_can_be_asked_for_by_a_thread(world):
    """The same, with the client that blocks, over a connection."""

    def use(port):
        with Client(f"http://127.0.0.1:{port}", timeout=5) as client:
            found = client.predict(EVENT)
            assert found == client.send(EVENT) == client.prediction("e1")
            assert [each["event_id"] for each in client.predict(events(3))] == ["0", "1", "2"]
            assert client.label("e1", True)["event_id"] == "e1"
            assert len(client.labels([{"event_id": "0", "label": True}])) == 1
            assert client.command("pause", command_id="c1")["id"] == "c1"
            assert client.audit(command_id="c1") == client.alerts() == client.rejects() == []
            assert client.evaluations() == []
            assert client.models()["candidates"] == {}
            assert client.definitions()["in_force"]
            with pytest.raises(RefusedError):
                client.send({})

    async def test(port, _server):
        working = asyncio.create_task(world.work())
        await asyncio.to_thread(use, port)
        working.cancel()

    world.listen(test)


def test_a_server_that_is_not_there_yet_is_waited_for(world):
    """Until the deadline."""
    answers = [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), None]

    def answer(request):
        error = answers.pop(0)
        if error is not None:
            raise error
        return httpx.Response(200, json={"event_id": "e1"})

    with Client("http://localhost", transport=httpx.MockTransport(answer)) as client:
        assert client.predict(EVENT) == {"event_id": "e1"}
        answers += [httpx.ConnectError("refused")] * 100
        with pytest.raises(UnavailableError, match="no answer: refused"):
            client.predict(EVENT, timeout=0.3)


def test_what_workers_write_is_followed_and_gaps_are_told_of(world):
    """By both clients, over a stop of the server."""

    async def test(port, server):
        url = f"http://127.0.0.1:{port}"
        seen = []

        async def follow():
            async with AsyncClient(url) as client:
                async for each in client.follow("predictions"):
                    seen.append(each)

        def follow_blocking():
            with Client(url) as client, suppress(UnavailableError):
                for each in client.follow(timeout=2.0):
                    blocked.append(each)

        blocked = []
        following = asyncio.create_task(follow())
        blocking = asyncio.create_task(asyncio.to_thread(follow_blocking))
        hub = server._service.hub
        await until(lambda: len(hub) == 2)
        world.predict("e1")
        await until(lambda: len(seen) == len(blocked) == 1)
        hub.close()
        await until(lambda: not len(hub))
        hub._is_closed = False  # as if another process had begun
        await until(lambda: len(hub) == 2)
        world.predict("e2")
        await until(lambda: len(seen) == len(blocked) == 3)
        assert not blocking.done()
        for found in (seen, blocked):
            first, gap, second = found
            assert isinstance(first, Followed)
            assert (first.topic, first.record["event_id"]) == ("predictions", "e1")
            assert isinstance(gap, Gap)
            assert gap.after == {("predictions", first.partition): first.offset}
            assert second.record["event_id"] == "e2"
        following.cancel()  # and the thread ends with the server

    world.listen(test)


def test_both_clients_have_the_same_methods():
    """With the same parameters."""

    def methods(client):
        found = inspect.getmembers(client, inspect.isfunction)
        return {
            name.removeprefix("a") if name in ("aclose",) else name: [
                *inspect.signature(each).parameters.items()
            ]
            for name, each in found
            if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)
    assert {"predict", "send", "label", "follow", "command"} < {*methods(Client)}


def test_an_address_must_be_one_of_http():
    """A host and a port alone would be tried until the deadline."""
    with pytest.raises(SettingsError, match=r"url must begin with http.*got 'localhost:6067'"):
        Client("localhost:6067")


@pytest.mark.parametrize("url", ["http://", "http://localhost:abc", "https://[::1", "http:///v1"])
def test_an_address_must_be_that_of_a_server(url):
    """What httpx does not take, or would ask nobody for until the deadline."""
    for make in (Client, AsyncClient):
        with pytest.raises(SettingsError, match="url must be the address of a server; got"):
            make(url)


def test_a_token_may_come_from_a_file_as_it_is():
    """With its line feed; what can be no header is refused at once, and not shown."""
    asked = []

    def answer(request):
        asked.append(request.headers["authorization"])
        return httpx.Response(200, json={"records": []})

    for token in ("tok-1", " tok-1\n"):
        with Client("http://host", token, transport=httpx.MockTransport(answer)) as client:
            assert client.alerts() == []
    assert asked == ["Bearer tok-1"] * 2
    for token in ("tok\n-2", "tök", "tok 3"):
        with pytest.raises(SettingsError, match="token must be what `millrace token`") as caught:
            Client("http://host", token)
        assert token not in str(caught.value)


def test_without_httpx_the_error_says_what_to_install():
    """And `millrace` itself needs none."""
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "import millrace; millrace.ClientError\n"
        "from millrace import Client"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "millrace.Client needs httpx, which is not installed" in last
    assert "pip install 'millrace[client]'" in last


def test_a_client_needs_neither_kafka_nor_river():
    """Nor what comes with them."""
    heavy = "{'river', 'pandas', 'faust', 'confluent_kafka', 'fastapi', 'uvicorn'}"
    code = (
        "from millrace import AsyncClient, Client; import sys\n"
        f"sys.exit(str({heavy} & {{*sys.modules}} or ''))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
