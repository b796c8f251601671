"""State as it was written before records were signed with their places: values alone are signed."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from millrace.schemas import shipped
from millrace.streams.state import snapshot
from millrace.streams.state.binding import Binding
from millrace.streams.state.input_order import Run
from millrace.streams.state.records import MANIFEST, StateRecord, state_record
from tests.unit.streams.conftest import KEY

_BODY_START = 36


def alone(data: bytes, key: bytes = KEY) -> bytes:
    """Return what was signed as it was signed then."""
    body = data[_BODY_START:]
    return b"MRS\1" + hmac.digest(key, b"MRS\1" + body, "sha256") + body


def as_before(records: Iterable[StateRecord]) -> list[StateRecord]:
    """Return records as they were written then."""
    return [_as_before(each) for each in records]


def _as_before(record: StateRecord) -> StateRecord:
    value = record.value
    if value is not None and record.topic == "models":
        published = shipped("model_snapshot").decode(value)
        payload = alone(published["payload"])
        value = shipped("model_snapshot").encode({**published, "payload": payload})
    elif value is not None:
        if record.key == MANIFEST:
            manifest = snapshot.load(value, KEY)
            del manifest["listed"], manifest["order"]
            value = snapshot.dump(manifest, KEY)
        value = alone(value)
    headers = [each for each in record.headers if each[0] != "signature"]
    return record._replace(value=value, headers=headers)


def order_before(topic: str, runs: list[Run], number: int = 1, flush: int = 0) -> StateRecord:
    """Return an order of inputs as releases before 0.2 wrote it, among the state in `p.`."""
    name = topic.removeprefix("p.")
    record = state_record(name, f"order/{number:012d}", snapshot.dump(runs, KEY), flush=flush)
    return Binding("p.", KEY).signed(0, record)
