"""Definitions, and the settings that they are deployed with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.settings import Settings
from tests.unit.streams.docs.definitions import DEFINITIONS


@pytest.fixture(params=[*DEFINITIONS])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """Give each of the definitions."""
    return DEFINITIONS[request.param]()


@pytest.fixture
def deployed() -> Callable[..., Settings]:
    """Make settings, with a registry for the formats that need one."""
    return partial(Settings, schema_registry_url="http://registry:8081")
