"""Limits that contradict each other are found by `millrace check`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from river.naive_bayes import GaussianNB

from millrace import Pending, Pipeline
from millrace.models.pipeline.limits import contradictions


@pytest.fixture
def make() -> Callable[..., Pipeline]:
    """Make a pipeline of fruits with given limits."""

    def pipeline(**changes: Any) -> Pipeline:
        names = {"id": "string", "size": "double", "y": "boolean"}
        fields = [{"name": name, "type": kind} for name, kind in names.items()]
        return Pipeline(
            **{
                "name": "fruits",
                "schema": {"type": "record", "name": "Fruit", "fields": fields},
                "event_id": "id",
                "label": "y",
                "task": "binary",
                "models": {"bayes": GaussianNB},
            }
            | changes
        )

    return pipeline


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"pending": Pending(ttl=timedelta(hours=25))}, None),
        ({"pending": Pending(ttl=timedelta(days=1))}, "max_ahead should be below pending.ttl (1 d"),
        ({"max_ahead": timedelta(days=8)}, "make the labels of others late; it is 8 days"),
        ({"pending": Pending(limit=10)}, None),
        ({"pending": Pending(limit=10**7)}, "limit_bytes should allow pending.limit (10,000,000)"),
        ({"pending": Pending(limit=10, limit_bytes=1_000)}, "events; it allows about 5"),
    ],
)
def test_contradictions(changes: dict[str, Any], words: str | None, make: Any) -> None:
    """Each is one sentence with the parameters; the defaults have none."""
    found = [*contradictions(make(**changes))]
    assert [words in each for each in found] == ([] if words is None else [True])
