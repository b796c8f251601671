"""The table of topics, and what a broker is asked to keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import LONGEST_NAME, Pipeline
from millrace.streams.operators.registry import OPERATORS
from millrace.streams.topology.chain import CONTROL_AGENT, NAMED, AgentSpec, parse_chain
from millrace.streams.topology.topics import (
    MAX_RECORD_BYTES,
    TOPICS,
    TopicSettings,
    Use,
    topic_settings,
    topics_of,
)


def agents(chain: str) -> list[AgentSpec]:
    return [*parse_chain(chain), CONTROL_AGENT]


def settings(chain: str = "default", **changes: Any) -> dict[str, TopicSettings]:
    given = {"prefix": "p.", "partitions": 3, "replication": 2, "retention_ms": 1_000} | changes
    return {each.name: each for each in topic_settings(agents(chain), **given)}


INPUTS = {"events", "labels"}
OUTPUTS = {"predictions", "outcomes", "evaluations", "alerts", "audit", "rejects"}


@pytest.mark.parametrize(
    ("chain", "internal", "states"),
    [
        ("default", {"clean", "features"}, {"ingest", "feature", "prediction-learning", "drift"}),
        ("full", {"control"}, {"ingest-feature-prediction-learning-drift"}),
        ("split", {"clean", "features", "examples"}, {*OPERATORS}),
        (
            "ingest+feature,prediction+learning,drift",
            {"control", "features"},
            {"ingest-feature", "prediction-learning", "drift"},
        ),
    ],
)
def test_topics_of_a_chain(chain: str, internal: set[str], states: set[str]) -> None:
    """A chain needs the inputs, the outputs, models, state, orders, and what joins its agents."""
    names = {each.name for each in topics_of(agents(chain))}
    expected = INPUTS | OUTPUTS | internal | {"commands", "definitions", "models", "state.control"}
    expected |= {f"state.{each}" for each in states}
    expected |= {f"order.{each}" for each in states if each.startswith("ingest-")}
    assert names == expected
    assert {*settings(chain)} == {f"p.{each}" for each in expected}


def test_who_a_topic_is_for() -> None:
    """Users produce events, labels and commands, and consume six topics; the rest is internal."""
    uses = {each.name: each.use for each in topics_of(agents("split"))}
    assert {name for name, use in uses.items() if use is Use.INPUT} == INPUTS
    assert {name for name, use in uses.items() if use is Use.OUTPUT} == OUTPUTS
    assert {name for name, use in uses.items() if use is Use.CONTROL} == {"commands"}
    assert all(each.holds.endswith(".") for each in TOPICS.values())


def test_the_table_agrees_with_the_operators() -> None:
    """Every topic that an operator reads or writes is in the table, and those of bundles alone."""
    known = {topic for agent in agents("split") for topic in (*agent.reads, *agent.writes)}
    assert known | {"definitions"} == {*TOPICS}


ALONE = {"p.commands", "p.definitions", "p.evaluations"}
KEPT_LONGER_MS = {"p.audit": "-1", "p.commands": "-1", "p.evaluations": "10000"}


def test_what_a_broker_is_asked_for() -> None:
    """State is compacted, audit and commands are kept, evaluations for long; ours may be large."""
    made = settings()
    for name, topic in made.items():
        assert topic.replication == 2
        assert topic.partitions == (1 if name in ALONE else 3)
        keeps = name in ("p.definitions", "p.models") or name.startswith("p.state.")
        assert topic.config["cleanup.policy"] == ("compact" if keeps else "delete")
        assert topic.config.get("retention.ms") == (
            None if keeps else KEPT_LONGER_MS.get(name, "1000")
        )
        large = None if name in ("p.events", "p.labels") else str(MAX_RECORD_BYTES)
        assert topic.config.get("max.message.bytes") == large


@pytest.mark.parametrize(
    ("chain", "compression", "asked", "expected"),
    [
        ("default", "none", {"alerts", "audit", "rejects"}, "uncompressed"),
        ("default", "gzip", {"alerts", "audit", "rejects"}, "gzip"),
        ("full", "none", {"audit", "rejects"}, "uncompressed"),
        ("split", "none", OUTPUTS, "uncompressed"),
        ("split", "lz4", set(), None),
    ],
)
def test_how_outputs_are_compressed(
    chain: str, compression: str, asked: set[str], expected: str | None
) -> None:
    """The broker is asked for it where the producer writes internal topics, too."""
    made = settings(chain, compression=compression)
    found = {name: each.config.get("compression.type") for name, each in made.items()}
    assert {name: how for name, how in found.items() if how} == {
        f"p.{name}": expected for name in asked
    }


def test_names_do_not_collide(make_pipeline: Callable[..., Pipeline]) -> None:
    """Each topic is asked for once."""
    names = [
        each.name
        for each in topic_settings(
            parse_chain("split"), prefix="", partitions=1, replication=1, retention_ms=1
        )
    ]
    assert len(names) == len({*names})


@pytest.mark.parametrize("chain", NAMED)
def test_kafka_takes_the_topics_of_the_longest_name(chain: str) -> None:
    """A topic's name may have 249 letters, with the state topic of the longest chain, too."""
    longest = max(len(each.name) for each in topics_of(agents(chain)))
    assert LONGEST_NAME + len(".") + longest <= 249
