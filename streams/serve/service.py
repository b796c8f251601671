"""What is asked of a pipeline over HTTP, and its one answer.

An event is answered with its prediction where that is known or waited for, else with its place:
then the broker has it. Whatever is not known for sure is said so, and the same event may be sent
again: by its id it counts once.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

import structlog
from confluent_kafka import KafkaError

from millrace.schemas import Codec, CommandError, RecordError, RejectReason
from millrace.streams.control.commands import check_form
from millrace.streams.formats import Outputs
from millrace.streams.kafka.commands import Request, written
from millrace.streams.kafka.protocols import Clients
from millrace.streams.serve.definition import Input, InputReader, ServedDefinition
from millrace.streams.serve.following import Follower
from millrace.streams.serve.knowledge import Knowledge, Seen
from millrace.streams.serve.problems import (
    ProblemError,
    of_record_error,
    of_reject,
    unavailable,
)
from millrace.streams.serve.sending import ACKNOWLEDGED_SECONDS, RecordPlace, Sender
from millrace.streams.serve.stream import Hub
from millrace.streams.serve.waiting import Rejected, Stopped, UnderWay, Wait, Waits
from millrace.streams.serve.watched import Watched
from millrace.streams.topology.codec import SHIPPED

MOST_WAITS = 10_000
"""Events that may be waited for at a time."""

_STOP_SECONDS = 2.0

_log = structlog.get_logger(__name__)

_AGAIN = "Send it again with the same id: it counts once."
_DUPLICATE = (
    "An event with this id was sent before, and its prediction is not known here: it is too old, or"
    " is still to come; then GET {} will have it. Give another event an id of its own."
)


class Answer(NamedTuple):
    """What a request is answered with.

    Attributes
    ----------
    status
        Of HTTP.
    body
        A document.
    headers
        Besides those that all answers have.
    """

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = {}


class Service:
    """Answers for one pipeline; `running` starts it.

    Parameters
    ----------
    clients
        Of the broker.
    name
        The pipeline's.
    state_key
        Definitions are signed with it.
    command_key
        Signs commands; empty: they are not signed.
    outputs
        How what workers write is read.
    max_event_bytes
        Largest event or label.
    topic_names
        What topics of sources are called here, where that is not as in the definition.

    Attributes
    ----------
    knowledge
        What is known of the pipeline.
    hub
        Passes on what workers write.
    waits
        Who waits for predictions.
    watched
        What the page shows of it besides.
    """

    def __init__(
        self,
        clients: Clients,
        name: str,
        *,
        state_key: bytes,
        command_key: bytes = b"",
        outputs: Outputs | None = None,
        max_event_bytes: int,
        topic_names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        outputs = outputs or Outputs()
        self.name, self.max_event_bytes = name, max_event_bytes
        self._prefix, self._command_key = f"{name}.", command_key
        self.knowledge, self.waits, self.hub = Knowledge(outputs), Waits(), Hub()
        self.watched = Watched(clients, name, state_key, self.knowledge, topic_names)
        self._sender, self._under_way = Sender(clients), UnderWay()
        self._follower = Follower(clients, self._prefix, state_key, outputs, self._take)
        self._reader: InputReader | None = None
        self._vectors = Codec([SHIPPED["FeatureVector"]])
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Know all that is there, and follow it until the end of the block.

        Raises
        ------
        MillraceError
            The broker does not answer, or has no such pipeline, or its definition cannot be read.
        """
        self._sender.start()
        try:
            await self._follower.start()
            self.watched.flow.start()
            yield
        finally:
            self.stop()
            await self._follower.stop()
            await asyncio.to_thread(self.watched.flow.stop)
            await asyncio.to_thread(self._sender.stop)

    def stop(self) -> None:
        """End all that waits, and what is streamed: this process stops."""
        self.waits.stop()
        self.hub.close()
        if not self._stopping.is_set():
            asyncio.get_running_loop().call_later(_STOP_SECONDS, self._stopping.set)

    @property
    def definition(self) -> ServedDefinition:
        """The definition in force."""
        assert self.knowledge.definition is not None, "running"
        return self.knowledge.definition

    @property
    def problem(self) -> str:
        """Why this cannot follow the pipeline; empty while it can."""
        return self._follower.problem

    async def event(self, value: bytes, wait_seconds: float | None) -> Answer:
        """Take an event.

        Parameters
        ----------
        wait_seconds
            How long to wait for its prediction; None not to wait.

        Raises
        ------
        ProblemError
            It cannot be used, or is not known to be taken, or has no prediction in time.
        """
        if self.definition.refusal:
            refusal = self.definition.refusal
            fix = "Use a Kafka client."
            raise ProblemError(HTTPStatus.NOT_IMPLEMENTED, "not_over_http", refusal, fix=fix)
        event = self._read(InputReader.event, value)
        known = self.knowledge.prediction(event.event_id)
        if known is not None:
            return self._predicted(known)
        if wait_seconds is None:
            place = await self._send("events", event)
            self._note_place(event.event_id, place)
            return self._taken(event.event_id, place)
        if len(self.waits) >= MOST_WAITS:
            detail = f"{MOST_WAITS:,} events are waited for already"
            raise unavailable("too_many_waits", detail, "Wait a moment, or send it without wait.")
        with self.waits.of(event.event_id) as wait:
            if not wait.is_sent:
                wait.is_sent = True
                self._send_awaited(wait, event)
            done, _ = await asyncio.wait({wait.verdict}, timeout=wait_seconds)
            if not done:
                raise self._timed_out(wait, event.event_id, wait_seconds)
            return self._answer(wait, event.event_id)

    async def label(self, value: bytes) -> Answer:
        """Take a label.

        Raises
        ------
        ProblemError
            It cannot be used, or is not known to be taken.
        """
        label = self._read(InputReader.label, value)
        return self._taken(label.event_id, await self._send("labels", label))

    async def command(self, request: Request) -> Answer:
        """Take a command: whether it is accepted, and applied, the audit will say.

        Raises
        ------
        ProblemError
            Its form is wrong, or it is not known to be taken.
        """
        try:
            check_form(request.command, request.arguments)
        except CommandError as error:
            status, kind = HTTPStatus.UNPROCESSABLE_ENTITY, "wrong_command"
            fix = "See the reference of commands in the documentation."
            raise ProblemError(status, kind, str(error), fix=fix) from None
        value, headers = written(request, self._command_key)
        delivery = self._sender.send(f"{self._prefix}commands", value, request.id, 0, headers)
        place = await self._acknowledged(delivery, "command", "Send it again with the same id.")
        audit = f"/v1/audit?command_id={quote(request.id, safe='')}"
        body = {"id": request.id, **place._asdict(), "audit": audit}
        return Answer(HTTPStatus.ACCEPTED, body, {"Location": audit})

    def known(self, event_id: str) -> Answer:
        """Return the prediction of an event, with what became of it.

        Raises
        ------
        ProblemError
            It is not known.
        """
        try:
            event_id = self.definition.texts.event_id(event_id)
        except RecordError as error:
            raise of_record_error(error) from None
        prediction = self.knowledge.prediction(event_id)
        if prediction is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                "unknown_prediction",
                f"no prediction of an event {event_id!r} is among the newest ones, of which this"
                " process knows up to 100,000",
                fix="If the event is new, ask again. If it was rejected, /v1/rejects has it; if it"
                f" is old, read the topic {self._prefix}predictions.",
            )
        return self._predicted(prediction)

    async def _take(self, seen: Sequence[Seen], definition: ServedDefinition | None) -> None:
        """Take what workers have written."""
        if definition is not None:
            self.knowledge.define(definition)
            self._reader = InputReader(definition, self.max_event_bytes)
        for each in seen:
            try:
                self._note(each)
            except Exception:  # it may be anybody's: whatever it is, the next ones count
                _log.exception("passing over", at=f"{each.topic}[{each.partition}]@{each.offset}")

    def _note(self, each: Seen) -> None:
        """Take a record."""
        self.knowledge.add(each)
        self.watched.add(each)
        if each.topic == "predictions":
            self._under_way.end(each.record["event_id"])
            self.waits.predicted(each.record)  # type: ignore[arg-type]  # it is one
        elif each.topic == "rejects" and (self.waits or self._under_way):
            self._note_reject(each.record)
        self.hub.publish(each)

    def _note_reject(self, reject: Mapping[str, Any]) -> None:
        place = RecordPlace(reject["topic"], reject["partition"], reject["offset"])
        why, event_id = Rejected(reject["reason"], reject["detail"]), self._event_id_in(reject)
        self._under_way.end_at(place)
        if event_id is not None:
            self._under_way.end(event_id)
        self.waits.rejected(place, event_id, why)

    def _note_place(self, event_id: str, place: RecordPlace) -> bool:
        """Note that an event is on Kafka; return whether another one with its id is under way."""
        if place in self.knowledge.rejected or self.knowledge.prediction(event_id) is not None:
            return False  # workers were faster than the broker's answer
        return self._under_way.add(event_id, place)

    def _event_id_in(self, reject: Mapping[str, Any]) -> str | None:
        """Return the id of an event that was rejected behind ingest; None for anything else."""
        codecs = {"clean": self.definition.event_schema.clean_codec, "features": self._vectors}
        codec = codecs.get(reject["topic"].removeprefix(self._prefix))
        if codec is None or reject["value"] is None:
            return None
        try:
            type_name, record = codec.decode(reject["value"])
        except RecordError:  # it was cut off, or written with another schema
            return None
        return record["event_id"] if type_name in ("Event", "FeatureVector") else None

    def _read(self, read: Callable[[InputReader, bytes], Input], value: bytes) -> Input:
        assert self._reader is not None, "running"
        try:
            return read(self._reader, value)
        except RecordError as error:
            raise of_record_error(error) from None

    def _produce(self, topic: str, given: Input) -> asyncio.Future[RecordPlace | KafkaError]:
        full = self._prefix + topic
        try:
            partition = self.definition.partition(given.routed_by, self._follower.counts[full])
        except RecordError as error:
            raise of_record_error(error) from None
        return self._sender.send(full, given.value, given.routed_by, partition)

    async def _send(self, topic: str, given: Input) -> RecordPlace:
        return await self._acknowledged(self._produce(topic, given), topic[:-1], _AGAIN)

    def _send_awaited(self, wait: Wait, event: Input) -> None:
        """Send an event that is waited for."""

        def note(delivery: asyncio.Future[RecordPlace | KafkaError]) -> None:
            found = delivery.result()
            if isinstance(found, KafkaError):
                wait.end(found)
                return
            wait.is_again = self._note_place(event.event_id, found)
            self.waits.placed(wait, found)
            if found in self.knowledge.rejected:  # it was read before the broker's answer
                self.waits.rejected(found, None, self.knowledge.rejected[found])

        self._produce("events", event).add_done_callback(note)

    async def _acknowledged(
        self, delivery: asyncio.Future[RecordPlace | KafkaError], what: str, fix: str
    ) -> RecordPlace:
        """Return where a record is, once the broker has it."""
        stopping = asyncio.create_task(self._stopping.wait())
        either: set[asyncio.Future[Any]] = {delivery, stopping}
        try:
            await asyncio.wait(
                either, timeout=ACKNOWLEDGED_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopping.cancel()
        found = delivery.result() if delivery.done() else None
        if isinstance(found, RecordPlace):
            return found
        raise _not_acknowledged(found, what, fix)

    def _answer(self, wait: Wait, event_id: str) -> Answer:
        """Return the answer to a verdict."""
        match wait.verdict.result():
            case Rejected(reason, detail):
                fix = _DUPLICATE if reason == RejectReason.DUPLICATE_EVENT else ""
                fix = fix.format(_address(event_id))
                raise of_reject(reason, detail, fix, event_id=event_id, **_placed(wait))
            case KafkaError() as error:
                raise _not_acknowledged(error, "event", _AGAIN)
            case Stopped():
                raise unavailable(
                    "stopping",
                    f"this process stops; {_whether_taken(wait)}",
                    self._where(wait, event_id),
                    **_placed(wait),
                )
            case prediction:
                return self._predicted(prediction)

    def _timed_out(self, wait: Wait, event_id: str, seconds: float) -> ProblemError:
        return ProblemError(
            HTTPStatus.GATEWAY_TIMEOUT,
            "no_prediction_yet",
            f"no prediction within {seconds:g} s; {_whether_taken(wait)}",
            fix=self._where(wait, event_id),
            event_id=event_id,
            **_placed(wait),
        )

    def _where(self, wait: Wait, event_id: str) -> str:
        return _AGAIN if wait.place is None else f"Ask GET {_address(event_id)}."

    def _predicted(self, prediction: Mapping[str, Any]) -> Answer:
        outcome = self.knowledge.outcome(prediction["event_id"])
        return Answer(HTTPStatus.OK, {**prediction, "outcome": outcome})

    def _taken(self, event_id: str, place: RecordPlace) -> Answer:
        address = _address(event_id)
        body = {"event_id": event_id, **place._asdict(), "prediction": address}
        return Answer(HTTPStatus.ACCEPTED, body, {"Location": address})


def new_id() -> str:
    """Return an id for a command that has none."""
    return str(uuid.uuid4())


def _address(event_id: str) -> str:
    """Return where a prediction is: of an id of dots, who asks would leave out what goes up."""
    quoted = quote(event_id, safe="")
    return f"/v1/predictions/{quoted if event_id.strip('.') else quoted.replace('.', '%2E')}"


def _placed(wait: Wait) -> dict[str, Any]:
    return {} if wait.place is None else wait.place._asdict()


def _whether_taken(wait: Wait) -> str:
    if wait.place is None:
        return "whether the event was taken is not known"
    topic, partition, offset = wait.place
    return f"the event was taken, as {topic}[{partition}]@{offset}"


def _not_acknowledged(error: KafkaError | None, what: str, fix: str) -> ProblemError:
    if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return of_reject(RejectReason.OVERSIZED, f"the broker takes no such {what}: {error.str()}")
    why = "it did not answer in time" if error is None else error.str()
    detail = f"the broker has not acknowledged the {what}: {why}"
    return unavailable("not_acknowledged", detail, fix)
