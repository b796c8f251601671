"""Server-sent events: what is streamed, and where some of it may be missing.

A stream begins with what comes from then on. So whatever was written while there was no connection
is not streamed: whoever has to have all of it reads the topic, or asks for the newest records.
Source: server-sent events, in WHATWG's HTML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from millrace.streams.client.errors import ClientError, UnavailableError, error_of
from millrace.streams.client.steps import Patience, Reply

SILENT_SECONDS = 45.0
"""A stream in which nothing comes for so long has broken off: the server says every 15 s that it is
there."""


class Followed(NamedTuple):
    """A record that a worker has written.

    Attributes
    ----------
    topic
        Without the pipeline's name: `predictions`, for example.
    partition, offset
        Where it is.
    record
        What it says.
    """

    topic: str
    partition: int
    offset: int
    record: dict[str, Any]


class Gap(NamedTuple):
    """Here records may be missing.

    Attributes
    ----------
    why
        In words.
    lost
        How many are missing; None where that is not known.
    after
        The last offset that came of each topic and partition: what is missing is behind it.
    """

    why: str
    lost: int | None
    after: Mapping[tuple[str, int], int]


class Following:
    """What has come of a stream, over all its connections.

    Parameters
    ----------
    patience
        Makes the pauses between connections, and says how long to try.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience, self._why = patience, ""
        self._after: dict[tuple[str, int], int] = {}
        self._fields: dict[str, str] = {}
        self._begun = ""  # of a line whose end is still to come

    def opened(self) -> Gap | None:
        """Note that there is a connection; return where records may be missing since the last."""
        why, self._why, self._begun = self._why, "", ""
        self._fields.clear()
        self._patience.restart()
        return Gap(why, None, {**self._after}) if why else None

    def text(self, part: str) -> Iterator[Followed | Gap]:
        """Take some more of the stream; yield what is complete with it.

        Lines end at a line feed alone: what else Python and httpx split lines at, such as U+2028,
        may be in a record.
        """
        *lines, self._begun = (self._begun + part).split("\n")
        for each in lines:
            if (found := self._line(each.removesuffix("\r"))) is not None:
                yield found

    def _line(self, text: str) -> Followed | Gap | None:
        """Take a line; return what is complete with it."""
        if text:
            name, _, value = text.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if fields.get("event") == "lost":
            lost = json.loads(fields["data"])["records"]
            return Gap("this client was too slow", lost, {**self._after})
        if "data" not in fields:
            return None
        topic, partition, offset = fields["id"].rsplit("-", 2)
        self._after[topic, int(partition)] = int(offset)
        return Followed(topic, int(partition), int(offset), json.loads(fields["data"]))

    def ended(self, reply: Reply) -> float:
        """Note that there is no connection; return how long to wait for another.

        Raises
        ------
        ClientError
            There will be none, or there was none for too long.
        """
        if reply.status == 200:  # the server has ended it
            reply = reply._replace(status=0)
        error: ClientError = error_of(reply.status, reply.document)
        if not isinstance(error, UnavailableError):
            raise error
        self._why = self._why or f"the connection ended: {error.detail}"
        pause = self._patience.pause(reply.retry_after)
        if pause is None:
            raise error
        return pause.seconds
