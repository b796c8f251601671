"""Which role may ask what, and how often."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from millrace.schemas import SettingsError
from millrace.streams.control.commands import COMMANDS
from millrace.streams.redaction import redact
from millrace.streams.serve.access import Access
from millrace.streams.serve.tokens import Role, Tokens, create_token, hashed, read_tokens

EVENT = {"id": "e1", "a": 1.0, "b": 2.0}
READ = ["models", "definitions", "evaluations", "alerts", "rejects", "audit"]
REQUESTS = {
    **{f"GET {each}": ("GET", f"/v1/{each}", None) for each in READ},
    "GET stream": ("GET", "/v1/stream?topics=odd", None),  # 422 to who may see it
    "GET prediction": ("GET", "/v1/predictions/e1", None),
    "GET document": ("GET", "/openapi.json", None),
    "POST event": ("POST", "/v1/events", EVENT),
    "POST label": ("POST", "/v1/labels", {"event_id": "e1", "label": True}),
    "POST pause": ("POST", "/v1/commands", {"command": "pause"}),
    "POST skip": (
        "POST",
        "/v1/commands",
        {"command": "skip", "arguments": {"topic": "events", "partition": "0", "offset": "1"}},
    ),
}
_READ = {f"GET {each}" for each in (*READ, "stream")}
MAY = {
    Role.VIEWER: {*_READ, "GET prediction"},
    Role.PRODUCER: {"GET prediction", "POST event", "POST label"},
    Role.OPERATOR: {*_READ, "GET prediction", "POST pause"},
    Role.ADMIN: {*REQUESTS},
}


@pytest.mark.parametrize("role", [*Role])
def test_a_role_may_do_what_it_is_for_and_nothing_else(world, tmp_path, role):
    """Each endpoint with a token of each role; the document is for all."""
    path = tmp_path / "tokens"
    token = create_token(path, "anna", role)

    async def test(client, _service):
        headers = {"Authorization": f"Bearer {token}"}
        allowed = set()
        for name, (method, address, body) in REQUESTS.items():
            answer = await client.request(method, address, json=body, headers=headers)
            if answer.status_code == 403:
                assert answer.json()["detail"].startswith(f"the role {role} of anna may not")
            else:
                assert answer.status_code in (200, 202, 404, 422)
                allowed.add(name)
        assert allowed == MAY[role] | {"GET document"}

    world.serve(test, Access(Tokens(path)))
    assert {each["who"] for each in world.sent("commands")} <= {"anna"}


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic YTpi", "Bearer", ""])
@pytest.mark.parametrize("name", REQUESTS)
def test_who_is_not_known_may_do_nothing(world, tmp_path, name, header):
    """401, whatever is asked."""
    create_token(tmp_path / "tokens", "anna", Role.ADMIN)
    method, address, body = REQUESTS[name]

    async def test(client, _service):
        headers = {} if header is None else {"Authorization": header}
        answer = await client.request(method, address, json=body, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (await client.get("/readyz")).status_code == 200

    world.serve(test, Access(Tokens(tmp_path / "tokens")))


def test_a_file_has_hashes_of_tokens_alone(tmp_path):
    """Nobody else may read it, and nobody can learn a token from it."""
    path = tmp_path / "tokens"
    token = create_token(path, "anna", Role.VIEWER)
    create_token(path, "bert", Role.ADMIN)
    assert path.stat().st_mode & 0o777 == 0o600
    assert token not in path.read_text()
    assert read_tokens(path)[hashed(token)] == ("anna", Role.VIEWER)
    with pytest.raises(SettingsError, match="name must be a new one"):
        create_token(path, "anna", Role.ADMIN)
    with pytest.raises(SettingsError, match="name must have letters"):
        create_token(path, "an na", Role.ADMIN)


@pytest.mark.parametrize("line", ["anna viewer", "anna king " + "0" * 64, "anna viewer 00"])
def test_a_file_with_a_line_that_is_none_is_refused(tmp_path, line):
    """The message says which."""
    path = tmp_path / "tokens"
    path.write_text(f"# who\n\n{line}\n")
    with pytest.raises(SettingsError, match="line 3 is another one"):
        Tokens(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    """The message has the command that makes one."""
    with pytest.raises(SettingsError, match="millrace token") as caught:
        Tokens(tmp_path / "tokens")
    assert "tokens' (No such file or directory)" in redact(str(caught.value))
    with pytest.raises(SettingsError, match="can be read and written"):
        create_token(tmp_path / "no" / "folder", "anna", Role.VIEWER)


def test_a_token_whose_line_is_gone_counts_no_more(tmp_path, monkeypatch):
    """A running server notices; a file that became unreadable changes nothing."""
    monkeypatch.setattr("millrace.streams.serve.tokens._LOOK_SECONDS", 0)
    path = tmp_path / "tokens"
    token = create_token(path, "anna", Role.VIEWER)
    tokens = Tokens(path)
    assert tokens.caller(token).name == "anna"
    text = path.read_text()
    with capture_logs() as lines:
        for _ in range(2):
            path.write_text("nonsense\n")
            assert tokens.caller(token) is not None
        path.unlink()
        assert tokens.caller(token) is not None
    assert ["line 1" in lines[0]["reason"], "No such file" in lines[1]["reason"]] == [True, True]
    assert len(lines) == 2
    path.write_text(f"# {text}")
    assert tokens.caller(token) is None


def test_a_stream_ends_when_its_token_is_revoked(world, tmp_path, monkeypatch):
    """It does not go on with what may be seen no more."""
    monkeypatch.setattr("millrace.streams.serve.tokens._LOOK_SECONDS", 0)
    path = tmp_path / "tokens"
    token = create_token(path, "anna", Role.VIEWER)

    async def test(client, service):
        headers = {"Authorization": f"Bearer {token}"}
        streaming = asyncio.create_task(client.get("/v1/stream", headers=headers))
        while not len(service.hub):
            await asyncio.sleep(0.01)
        world.predict("e1")
        while service.knowledge.prediction("e1") is None:
            await asyncio.sleep(0.01)
        while not all(each.queue.empty() for each in service.hub._listeners):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # it has been told of e1
        path.write_text("")
        world.predict("e2")
        world.predict("e3")
        found = (await streaming).text
        assert "e1" in found
        assert "e2" not in found

    world.serve(test, Access(Tokens(path)))


def test_the_page_is_told_nothing_more_when_its_token_is_revoked(world, tmp_path, monkeypatch):
    """What is told twice a second ends, too."""
    monkeypatch.setattr("millrace.streams.serve.tokens._LOOK_SECONDS", 0)
    monkeypatch.setattr("millrace.streams.serve.views.LIVE_SECONDS", 0.02)
    path = tmp_path / "tokens"
    token = create_token(path, "anna", Role.VIEWER)

    async def test(client, service):
        headers = {"Authorization": f"Bearer {token}"}
        address = "/v1/live?predictions=true"
        listening = asyncio.create_task(client.get(address, headers=headers))
        await asyncio.sleep(0.1)
        path.write_text("")
        world.predict("e1")
        found = (await asyncio.wait_for(listening, 5)).text
        assert "event: counts" in found
        assert "e1" not in found

    world.serve(test, Access(Tokens(path)))


def test_every_command_is_for_administrators_unless_it_is_for_operators(world, tmp_path):
    """Also one that is not known, or that comes later."""
    path = tmp_path / "tokens"
    tokens = {role: create_token(path, role, role) for role in Role}
    operators = {"promote", "rollback", "reset", "set", "pause", "resume", "snapshot"}

    async def test(client, _service):
        for role, token in tokens.items():
            headers = {"Authorization": f"Bearer {token}"}
            for command in [*COMMANDS, "odd"]:
                body = {"command": command}
                answer = await client.post("/v1/commands", json=body, headers=headers)
                may = role is Role.ADMIN or (role is Role.OPERATOR and command in operators)
                assert (answer.status_code != 403) == may, (role, command)

    world.serve(test, Access(Tokens(path)))
    assert operators < {*COMMANDS}


def test_a_client_that_asks_too_often_is_told_to_wait(world):
    """429 says for how long; each event of an array counts."""
    now = [0.0]
    access = Access(rate=100, clock=lambda: now[0])

    async def test(client, _service):
        events = [EVENT | {"id": str(number)} for number in range(1_000)]
        assert (await client.post("/v1/events", json=events)).status_code == 200
        assert (await client.get("/v1/alerts")).status_code == 200
        answer = await client.get("/v1/alerts")
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        now[0] += 0.02
        assert (await client.get("/v1/alerts")).status_code == 200

    world.serve(test, access)


def test_without_tokens_it_answers_to_names_of_this_machine_alone(world):
    """A page of the web may have given its own name our address (DNS rebinding)."""

    async def test(client, _service):
        assert (await client.get("/v1/alerts")).status_code == 200
        answer = await client.get("/v1/alerts", headers={"host": "evil.example:6067"})
        assert answer.status_code == 421

    world.serve(test, Access(names=frozenset({"localhost"})))
