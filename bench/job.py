"""What a contestant has to do: one job, passed as JSON in the environment variable `BENCH_JOB`.

Contestants run in interpreters of their own, so this module imports only the standard library.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_VARIABLE = "BENCH_JOB"
_SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"
LABEL_SCHEMA = json.loads((_SCHEMAS / "label.avsc").read_text())  # of a label on its own


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of one contestant."""

    name: str  # unique to the run: its topics and consumer groups start with it
    model: str  # as in Millrace's catalogue
    events: int
    features: list[str]
    bootstrap: str
    embedded: bool  # whether the broker is librdkafka's embedded one
    partitions: int = 1
    workers: int = 1  # processes that share the partitions
    keyed: bool = False  # whether events have a key
    scope: str = "global"  # whether Millrace has one model, or one per partition or key
    candidates: int = 1  # models side by side
    label_delay: int = 0  # events between an event and its label; 0 for the label inside the event
    windows: bool = False  # whether Millrace keeps a rolling window per key

    @property
    def input_topic(self) -> str:
        return f"{self.name}.events"

    @property
    def output_topic(self) -> str:
        return f"{self.name}.predictions"

    @property
    def schema(self) -> dict[str, object]:
        """The Avro schema of an event."""
        texts = ["id", "key"] if self.keyed else ["id"]
        types = dict.fromkeys(texts, "string") | dict.fromkeys(self.features, "double")
        fields = [{"name": name, "type": kind} for name, kind in types.items()]
        if not self.label_delay:
            fields.append({"name": "label", "type": "boolean"})
        return {"type": "record", "name": "BenchEvent", "fields": fields}

    def as_environment(self) -> dict[str, str]:
        return {_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> Job:
        """Return the job that this process was started for."""
        return cls(**json.loads(os.environ[_VARIABLE]))
