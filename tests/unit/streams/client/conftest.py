"""A served pipeline, whose workers the tests play."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millrace.models.pipeline.definition import Pipeline
from tests.unit.streams.serve.conftest import World


@pytest.fixture
def world(make_pipeline: Callable[..., Pipeline]) -> World:
    """Make a world: events have `id`, `a`, `b` and perhaps the label `y`."""
    return World(make_pipeline())
