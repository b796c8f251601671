"""What a contestant is told: one object, in the environment variable `BENCH_JOB`.

Contestants run under interpreters of their own, so this imports the standard library alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "BENCH_JOB"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of one contestant.

    Parameters
    ----------
    name
        Of this run and no other: topics and consumer groups begin with it.
    model
        Function of `models.candidates.catalogue` that makes the model.
    events
        How many there are.
    schema
        Avro schema of an event: `id`, the features, `label`, and `key` where `keyed`.
    features
        Names of the features, in order.
    bootstrap
        Of the broker; empty for a contestant that needs none.
    keyed
        Whether events have a key, and Millrace one model for each partition.
    windows
        Whether Millrace keeps a window of values for every key: state that grows with the keys.
    """

    name: str
    model: str
    events: int
    schema: dict[str, Any]
    features: list[str]
    bootstrap: str = ""
    keyed: bool = False
    windows: bool = False

    @property
    def input_topic(self) -> str:
        return f"{self.name}.events"

    @property
    def output_topic(self) -> str:
        return f"{self.name}.predictions"

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Job:
        """Return the job that this process was started for."""
        return cls(**json.loads(os.environ[VARIABLE]))
