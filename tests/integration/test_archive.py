"""Back to a snapshot after wrong labels, and predictions again whose log has expired."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millrace.models.candidates.model_set import ModelSet
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings
from millrace.streams.state.archive.store import Place
from millrace.streams.state.entries import MODELS
from millrace.streams.state.records import Saved
from millrace.streams.tools.inspect_state import learning_agent, read_state
from millrace.streams.tools.versions import archive_reader
from tests.chaos.likeness import difference
from tests.integration import sensors
from tests.integration.agents import expire
from tests.integration.clients import Topics, as_json
from tests.integration.workers import PIPELINES, Worker, run_command, settings, wait_for

GOOD = 150


def models_of(saved: Saved) -> ModelSet:
    (models,) = saved.entries[MODELS]
    assert isinstance(models.value, ModelSet)
    return models.value


def now(own: Settings) -> ModelSet:
    clients, pipeline = KafkaClients(own), own.load_pipeline()
    saved, _ = read_state(clients, pipeline, own, learning_agent(own, pipeline))
    return models_of(saved[0])


@pytest.mark.platform
@pytest.mark.parametrize(("chain", "log"), [("default", "features"), ("full", "events")])
def test_back_to_a_snapshot(
    kafka: str, unique_name: Callable[[str], str], tmp_path: Path, chain: str, log: str
) -> None:
    """Models are those of the snapshot bit for bit, and events that wait go on.

    A prediction from behind both is made again, though the log before the snapshot has expired.
    What a deploy retires is in a snapshot of before.
    """
    name = unique_name("archive")
    own = settings(
        *("every_sensor", name, kafka),
        partitions=1,
        flush_seconds=1,
        archive=str(tmp_path),
        chain=chain,
    )
    topics, stream = Topics(kafka, name), sensors.readings(2 * GOOD + 20)

    def send(first: int, count: int, **changes: Any) -> None:
        some = [{**each, **changes} for each in stream[first : first + count]]
        topics.produce("events", ({"value": as_json(each), "partition": 0} for each in some))
        topics.records("predictions", at_least=first + count)

    def call(*arguments: str) -> str:
        code, said = run_command(own, *arguments)
        assert code == 0, said
        return said

    with Worker(own):
        send(0, GOOD)
        said = call("snapshot", "--reason", "all is well")
        version = re.findall(r"(\S+-snapshot-\d+) is in", said)[0]
        send(GOOD, GOOD, faulty=True)  # wrong ones
        send(2 * GOOD, 1, faulty=None)
        wait_for("save", lambda: now(own).version == 2 * GOOD)
        said = call("restore", "--to", version, "--reason", "wrong labels")
        assert f"models restored: {2 * GOOD} -> {GOOD}" in said

        wait_for("save", lambda: now(own).version == GOOD)
        pipeline = own.load_pipeline()
        reader = archive_reader(KafkaClients(own), pipeline, own)
        learner = learning_agent(own, pipeline)
        archived = reader.checked(version, Place(learner.name, 0)).archived
        assert not difference(now(own), models_of(reader.saved(archived)))

        send(2 * GOOD + 1, 9)
        label = b'{"event_id": "%d", "label": true}' % (2 * GOOD)
        topics.produce("labels", [{"value": label, "partition": 0}])
        wait_for("save", lambda: now(own).version == GOOD + 10)
        said = call("deploy", f"{PIPELINES}:only_linear", "--reason", "one is enough")
        assert re.search(
            r"-snapshot-\d+ is in .*models\['hoeffding_tree'\] retired", said, re.DOTALL
        )
    assert topics.records("predictions")[-1]["model_version"] == GOOD + 8

    expire(kafka, f"{name}.{log}", before=archived.header.covers[log])
    said = call("reproduce", str(2 * GOOD + 9))
    assert said.startswith("identical")
    assert f"behind the archived version {version}" in " ".join(said.split())
    assert version in call("versions")
