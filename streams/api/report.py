"""What a process that folds says of itself: its agents and its metrics, at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol, Self


class Agent(Protocol):
    """What is reported of an agent; `streams.runtime.engine.Engine` is one."""

    @property
    def name(self) -> str: ...

    @property
    def failure(self) -> str: ...

    @property
    def warning(self) -> str: ...

    @property
    def is_ready(self) -> bool: ...


@dataclass(frozen=True)
class Report:
    """The state of a process.

    Attributes
    ----------
    pipeline
        Name of the pipeline that it runs.
    metrics
        In Prometheus' text format.
    failing
        Agent to what is wrong with it.
    waiting
        Agents that have no partitions yet.
    warnings
        Agent to what is wrong although it works.

    Examples
    --------
    >>> report = Report("loans", "up 1.0", {"drift": "the broker is unreachable"})
    >>> Report.from_bytes(report.to_bytes()) == report
    True
    """

    pipeline: str
    metrics: str = ""
    failing: Mapping[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    warnings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pipeline: str, agents: Iterable[Agent], metrics: bytes) -> Self:
        """Return the report of agents, and of the metrics as they are exposed."""
        agents = [*agents]
        return cls(
            pipeline,
            metrics.decode(),
            {each.name: each.failure for each in agents if each.failure},
            [each.name for each in agents if not each.is_ready],
            {each.name: each.warning for each in agents if each.warning},
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what `to_bytes` has written."""
        return cls(**json.loads(data))

    def to_bytes(self) -> bytes:
        """Return the report in the form in which it passes between processes."""
        return json.dumps(asdict(self)).encode()
