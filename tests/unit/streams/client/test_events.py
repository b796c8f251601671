"""What has come of a stream, and where some of it may be missing."""

from __future__ import annotations

import json

import pytest

from millrace.streams.client.errors import ForbiddenError, UnavailableError
from millrace.streams.client.events import Followed, Following, Gap
from millrace.streams.client.steps import Patience, Reply

STREAM = """: listening

event: predictions
id: predictions-0-2
data: {"event_id": "e1"}

: nothing new

event: lost
data: {"records": 15}

event: model-changes
id: model-changes-3-70
data: {}

"""


def following(seconds=10.0):
    now = [0.0]
    return Following(Patience(seconds, lambda: now[0])), now


def lines(follower, text=STREAM):
    return [*follower.text(text)]


def test_records_and_losses_are_told_apart():
    """Comments are nothing; a loss says what came before it."""
    follower, _ = following()
    assert follower.opened() is None
    assert lines(follower) == [
        Followed("predictions", 0, 2, {"event_id": "e1"}),
        Gap("this client was too slow", 15, {("predictions", 0): 2}),
        Followed("model-changes", 3, 70, {}),
    ]


def test_a_stream_may_come_in_parts_of_any_size():
    """Where a part ends is chance."""
    whole, parts = following()[0], following()[0]
    assert [each for text in STREAM for each in lines(parts, text)] == lines(whole)


def test_a_record_may_have_what_else_ends_a_line_in_python():
    """U+2028, U+0085 and others stay in the text; only a line feed ends it."""
    follower, _ = following()
    odd = "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b"
    record = json.dumps({"event_id": odd}, ensure_ascii=False)
    text = f"event: predictions\r\nid: predictions-0-3\r\ndata: {record}\r\n\r\n"
    assert lines(follower, text) == [Followed("predictions", 0, 3, {"event_id": odd})]


def test_another_connection_begins_with_a_gap():
    """It says why, and behind what; half an event of the one before does not count."""
    follower, _ = following()
    follower.opened()
    lines(follower)
    assert not lines(follower, "event: predictions\ndata: {\ndata")
    assert follower.ended(Reply(0, b"no answer: reset")) > 0
    assert follower.ended(Reply(0, b"no answer: refused")) > 0
    gap = follower.opened()
    assert gap == Gap(
        "the connection ended: no answer: reset",
        None,
        {("predictions", 0): 2, ("model-changes", 3): 70},
    )
    assert len(lines(follower)) == 3


def test_a_stream_that_the_server_ends_is_gone_on_with():
    """It stops for a moment, perhaps."""
    follower, _ = following()
    follower.opened()
    assert follower.ended(Reply(200, b"the server has ended the stream")) > 0
    assert follower.opened().why == "the connection ended: the server has ended the stream"


def test_without_a_connection_it_gives_up_after_a_while():
    """Counted from the last one."""
    follower, now = following(10.0)
    now[0] = 9.0
    follower.opened()
    now[0] = 17.0
    assert follower.ended(Reply(503, b"{}", 1.0)) == 1.0
    now[0] = 18.5
    with pytest.raises(UnavailableError):
        follower.ended(Reply(503, b"{}", 1.0))


def test_who_may_not_see_it_is_told_at_once():
    """Trying again changes nothing."""
    follower, _ = following()
    with pytest.raises(ForbiddenError):
        follower.ended(Reply(403, b"{}"))
