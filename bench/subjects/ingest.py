"""What ingest takes for an event in each form that it comes in: in memory, in turns.

The same events come as Avro, as plain JSON, and as JSON in each envelope, as its makers write it.
It prints the CPU seconds of each.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import Any

from bench import data
from bench.job import Job
from bench.pipeline import pipeline
from millrace import Source
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.record import Origin, RawRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.sources.confluent import no_registry
from millrace.streams.worker.fold import tune_interpreter

_SLICE_RECORDS = 200
_TURNS = 5
_SOURCE = {
    "version": "3.0.0.Final",
    "connector": "postgresql",
    "name": "shop",
    "ts_ms": 1_800_000_000_000,
    "snapshot": "false",
    "db": "shop",
    "sequence": '["24023119","24023128"]',
    "schema": "public",
    "table": "payments",
    "txId": 555,
    "lsn": 24023128,
    "xmin": None,
}


def debezium(row: dict[str, Any]) -> dict[str, Any]:
    """Return a new row as Debezium writes it, without a schema."""
    change = {"before": None, "after": row, "source": _SOURCE, "op": "c"}
    return {**change, "ts_ms": 1_800_000_000_000, "transaction": None}


def connect_schema(row: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that Kafka Connect's JSON converter writes with a row's change."""
    types = {str: "string", bool: "boolean", int: "int64", float: "double"}
    fields = [
        {"type": types.get(type(value), "string"), "optional": True, "field": name}
        for name, value in row.items()
    ]
    row_of = {"type": "struct", "fields": fields, "optional": True, "name": "shop.Value"}
    both = [{**row_of, "field": name} for name in ("before", "after")]
    return {"type": "struct", "fields": both, "optional": False, "name": "shop.Envelope"}


def cloud_event(row: dict[str, Any]) -> dict[str, Any]:
    """Return an event as a structured CloudEvent."""
    about = {"specversion": "1.0", "id": row["id"], "source": "/shop", "type": "payment"}
    return {**about, "time": "2027-01-15T08:00:00Z", "data": row}


def main() -> None:
    job, now_ms = Job.from_environment(), time.time_ns() // 1_000_000
    avro = [each.value for each in data.records(job)]
    rows = [pipeline.event_schema.codec.decode(each)[1] for each in avro]
    schema = connect_schema(rows[0])
    made = {
        ("avro", ""): avro,
        ("json", ""): [*map(_json, rows)],
        ("debezium", "debezium"): [_json(debezium(each)) for each in rows],
        ("debezium, with schemas", "debezium"): [
            _json({"schema": schema, "payload": debezium(each)}) for each in rows
        ],
        ("cloudevents", "cloudevents"): [_json(cloud_event(each)) for each in rows],
    }
    sources = {f"@{each}": Source(each, envelope=each) for each in ("debezium", "cloudevents")}
    definition = replace(pipeline, events=[*sources.values()])
    ingest = IngestOperator(definition, 1, no_registry, 1 << 20, sources)
    tune_interpreter()
    seconds = dict.fromkeys((form for form, _ in made), 0.0)
    for _ in range(_TURNS):
        for (form, source), values in made.items():
            topic = f"@{source}" if source else "events"
            records = [
                RawRecord.of(Origin(topic, 0, offset, now_ms, None, value))
                for offset, value in enumerate(values)
            ]
            seconds[form] += _cpu_seconds(ingest, records) / _TURNS
    json.dump({"forms": seconds}, sys.stdout)


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _cpu_seconds(ingest: IngestOperator, records: list[RawRecord]) -> float:
    slices = [
        Slice(records[begin : begin + _SLICE_RECORDS])
        for begin in range(0, len(records), _SLICE_RECORDS)
    ]
    started = time.process_time()
    taken = sum(len(ingest.fold(each)) for each in slices)
    spent = time.process_time() - started
    assert taken == len(records)
    return spent


if __name__ == "__main__":
    main()
