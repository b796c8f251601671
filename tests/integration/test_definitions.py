"""Definitions on a broker: published by one client, loaded by another that has no files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millrace.models.bundles.collecting import collect
from millrace.models.bundles.importing import load
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import SnapshotError
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.settings import Settings
from millrace.streams.state.definitions import DefinitionStore

SPECS = [f"millrace.models.pipelines.{name}" for name in ("loans", "phishing")]


@pytest.fixture(params=["kafka", "embedded"])
def broker(request: pytest.FixtureRequest) -> str:
    found: str | EmbeddedBroker = request.getfixturevalue(request.param)
    return found if isinstance(found, str) else f"embedded://{found.bootstrap}"


def test_definitions_on_a_broker(broker: str, unique_name: Callable[[str], str]) -> None:
    """They are in one partition, and only whoever has the key gets them."""
    pipeline = load_pipeline(SPECS[0]).with_name(unique_name("definitions"))
    settings = Settings(broker=broker, partitions=3)
    prefix = f"{pipeline.name}."
    made = prepare_topics(KafkaClients(settings), pipeline, settings)
    assert made[f"{prefix}definitions"] == (4 if broker.startswith("embedded") else 1)
    bundles = [collect(spec) for spec in SPECS]
    store = DefinitionStore(KafkaClients(settings), prefix, b"secret")
    for each in (*bundles, bundles[0]):
        store.publish(each)
    other = DefinitionStore(KafkaClients(settings), prefix, b"secret")
    assert other.all() == {each.digest: each for each in bundles}
    assert load(other.get(bundles[1].digest)).name == "phishing"
    with pytest.raises(SnapshotError, match="does not match this key"):
        DefinitionStore(KafkaClients(settings), prefix, b"other").get(bundles[0].digest)
