"""When a client asks again, and when it gives up: without a server, and without a clock."""

from __future__ import annotations

import json

import pytest

from millrace.streams.client import steps
from millrace.streams.client.errors import (
    ClientError,
    DuplicateError,
    ForbiddenError,
    RefusedError,
    UnavailableError,
    UnknownPredictionError,
    error_of,
)
from millrace.streams.client.requests import command, one, prediction, to_json
from millrace.streams.client.steps import Patience, Pause, Reply, deliver

WAIT = {"wait": "prediction"}


class Server:
    """Answers calls as a test has it; time passes as calls and pauses say.

    Attributes
    ----------
    calls
        What was asked.
    now
        Seconds.
    """

    def __init__(self, *replies):
        self.replies, self.calls, self.now = [*replies], [], 0.0

    def patience(self, seconds=30.0):
        return Patience(seconds, lambda: self.now)

    def take(self, found):
        """Take steps to their end, and return what they return."""
        reply = None
        while True:
            try:
                step = found.send(reply)
            except StopIteration as done:
                return done.value
            if isinstance(step, Pause):
                self.now += step.seconds
                reply = None
            else:
                self.calls.append(step)
                reply = self.replies.pop(0)
                if callable(reply):
                    reply = reply(step)


def answer(status, retry_after=0.0, **document):
    return Reply(status, json.dumps(document).encode(), retry_after)


LOST = Reply(0, b"no answer: connection refused")
EVENT = b'{"id": "e1"}'


def test_a_request_is_made_again_until_there_is_an_answer():
    """With the same bytes, whatever was in the way; the server says how long to wait at least."""
    late = answer(504, detail="no prediction within 10 s")
    server = Server(LOST, late, answer(503), answer(429, retry_after=3.0), answer(200, value=True))
    found = server.take(one("/v1/events", EVENT, WAIT, server.patience()))
    assert found == {"value": True}
    assert {each.body for each in server.calls} == {EVENT}
    assert server.now > 3
    waits = [float(each.params["timeout"]) for each in server.calls]
    assert waits[0] == 10
    assert all(each.seconds > wait for each, wait in zip(server.calls, waits, strict=True))


def test_at_the_deadline_it_gives_up_with_what_was_last_in_the_way():
    """And asks for no longer wait than there is time."""
    server = Server(*[LOST] * 100)
    with pytest.raises(UnavailableError, match="connection refused") as caught:
        server.take(one("/v1/events", EVENT, WAIT, server.patience(7.0)))
    assert caught.value.status == 0
    assert 5 < server.now <= 7
    assert float(server.calls[0].params["timeout"]) == 7
    assert float(server.calls[-1].params["timeout"]) < 3


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "malformed", RefusedError),
        (401, "unknown_token", ForbiddenError),
        (403, "forbidden", ForbiddenError),
        (404, "not_found", RefusedError),
        (404, "unknown_prediction", UnknownPredictionError),
        (409, "duplicate_event", DuplicateError),
        (413, "oversized", RefusedError),
        (421, "wrong_host", ForbiddenError),
        (422, "missing_field", RefusedError),
        (429, "too_many_requests", UnavailableError),
        (500, "internal_error", ClientError),
        (501, "not_over_http", RefusedError),
        (502, "of a proxy", UnavailableError),
    ],
)
def test_each_problem_has_its_error(status, kind, error):
    """With the document, and its parts by name."""
    document = {
        "type": f"urn:millrace:problem:{kind}",
        "detail": "it is so",
        "fix": "Make it other.",
        "field": "a",
        "reason": kind,
    }
    found = error_of(status, document)
    assert type(found) is error
    assert (found.status, found.problem, found.detail) == (status, document, "it is so")
    assert (found.fix, found.field, found.reason) == ("Make it other.", "a", kind)
    assert str(found) == "it is so. Make it other."


def test_what_cannot_be_used_is_not_sent_again():
    """The first answer counts."""
    server = Server(answer(422, detail="field 'a' must be double"))
    with pytest.raises(RefusedError, match="field 'a'"):
        server.take(one("/v1/events", EVENT, {}, server.patience()))
    assert "timeout" not in server.calls[0].params


def test_a_duplicate_of_oneself_is_waited_for():
    """The first answer was lost, so that the event may have been taken by then."""
    duplicate = answer(409, detail="was sent before")
    server = Server(LOST, duplicate, duplicate, answer(200, value=1))
    assert server.take(one("/v1/events", EVENT, WAIT, server.patience())) == {"value": 1}
    server = Server(duplicate)
    with pytest.raises(DuplicateError):
        server.take(one("/v1/events", EVENT, WAIT, server.patience()))
    server = Server(LOST, *[duplicate] * 100)
    with pytest.raises(DuplicateError):
        server.take(one("/v1/events", EVENT, WAIT, server.patience()))


def each_of(call):
    """Answer as the server does: with 200 and the value, 422 for `bad`, 504 for `late`."""
    values = json.loads(call.body)
    if isinstance(values, dict):
        item = item_of(values)
        return answer(item["status"], **item["body"])
    return answer(200, items=[item_of(value) for value in values])


def item_of(value):
    status = {"bad": 422, "late": 504}.get(value["id"], 200)
    return {"status": status, "body": value}


def test_of_several_those_are_sent_again_that_have_no_answer():
    """The others have theirs already, or an error that stays."""

    def good(call):
        return answer(200, **json.loads(call.body))

    server = Server(each_of, each_of, good)
    values = [b'{"id": "a"}', b'{"id": "bad"}', b'{"id": "late"}', b'{"id": "b"}']
    found = server.take(deliver("/v1/events", values, WAIT, server.patience()))
    assert [getattr(each, "status", each) for each in found] == [
        {"id": "a"},
        422,
        {"id": "late"},
        {"id": "b"},
    ]
    assert [each.body for each in server.calls[1:]] == [b'{"id": "late"}'] * 2


def test_many_are_sent_in_parts(monkeypatch):
    """Of as many items and bytes as the server takes."""
    monkeypatch.setattr(steps, "_MOST_BYTES", 100_000)
    values = [b'{"id": "%d"}' % number for number in range(2_500)]
    values += [b'{"id": "%s"}' % (b"x" * 40_000)] * 3
    server = Server(*[each_of] * 5)
    found = server.take(deliver("/v1/events", values, {}, server.patience()))
    assert found == [json.loads(each) for each in values]
    assert [json.loads(each.body)[0]["id"][:5] for each in server.calls[:3]] == [
        "0",
        "1000",
        "2000",
    ]
    assert all(len(each.body) < 105_000 for each in server.calls)


def test_one_that_is_no_json_does_not_spoil_the_others():
    """The server refuses the array: it is sent in halves."""

    def strict(call):
        if b"NaN" in call.body:
            return answer(400 if call.body.startswith(b"[") else 422, detail="no number")
        return each_of(call)

    values = [b'{"id": "%d"}' % number for number in range(7)] + [b'{"id": "x", "a": NaN}']
    server = Server(*[strict] * 10)
    found = server.take(deliver("/v1/events", values, {}, server.patience()))
    assert found[:7] == [json.loads(each) for each in values[:7]]
    assert isinstance(found[7], RefusedError)


def test_who_may_send_nothing_is_told_at_once():
    """Not once for each."""
    server = Server(answer(403, detail="the role viewer may not do this"))
    with pytest.raises(ForbiddenError, match="viewer"):
        server.take(deliver("/v1/events", [EVENT] * 3, {}, server.patience()))


def test_nothing_is_sent_of_nothing():
    """No request, and an empty list."""
    server = Server()
    assert server.take(deliver("/v1/events", [], {}, server.patience())) == []


def test_an_answer_that_is_no_document_is_told_of():
    """A proxy has pages of its own."""
    server = Server(Reply(404, b"<html>nothing here"))
    with pytest.raises(RefusedError, match="status 404: <html>nothing here"):
        server.take(prediction("a/b", server.patience()))
    assert server.calls[0].path == "/v1/predictions/a%2Fb"


def test_a_command_has_an_id_so_that_it_counts_once():
    """The same in each request."""
    server = Server(LOST, answer(503), answer(202, id="?"))
    server.take(command("pause", {}, "a holiday", None, server.patience()))
    bodies = [json.loads(each.body) for each in server.calls]
    assert len({each["id"] for each in bodies}) == 1
    assert len(bodies[0]["id"]) == 36
    server = Server(answer(202))
    server.take(command("set", {"name": "a", "value": 1}, "", "c1", server.patience()))
    assert json.loads(server.calls[0].body)["arguments"] == {"name": "a", "value": "1"}


def test_what_json_does_not_have_is_written_as_what_it_is():
    """Times and numbers of numpy; anything else is an error that names it."""
    import numpy as np
    import pandas as pd

    assert to_json({"a": np.float64(1.5), "b": np.int64(2), "c": np.bool_(True)}) == (
        b'{"a": 1.5, "b": 2, "c": true}'
    )
    assert to_json(pd.Timestamp("2026-01-02", tz="UTC")) == b'"2026-01-02T00:00:00+00:00"'
    with pytest.raises(TypeError, match="JSON has no set"):
        to_json({1})


def test_an_error_can_be_pickled():
    """A pool of processes hands it on."""
    import pickle

    found = pickle.loads(pickle.dumps(error_of(422, {"detail": "no", "fix": "Yes.", "field": "a"})))
    assert (type(found), found.field, str(found)) == (RefusedError, "a", "no. Yes.")
