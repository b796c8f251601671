"""From an agent's name to its operators, with the state that they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from millrace.streams.formats.json import to_json
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import Origin, RawRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.topology.chain import AgentSpec, parse_chain
from millrace.streams.topology.factory import TaskFactory

Make = Callable[..., Any]


@pytest.fixture
def factory(make_pipeline: Make) -> Callable[..., TaskFactory]:
    """Make the factory of an agent's tasks."""

    def make(agent: AgentSpec, **pipeline: Any) -> TaskFactory:
        return TaskFactory(
            pipeline=make_pipeline(**pipeline),
            agent=agent,
            clean_partitions=4,
            max_event_bytes=100,
            written_schema=lambda _: None,
            load_models=lambda _: None,  # type: ignore[arg-type,return-value]
            clock_ms=lambda: 0,
        )

    return make


@pytest.mark.parametrize(
    ("chain", "reads"),
    [
        ("default", [["events", "labels"], ["clean"], ["features"], ["predictions"]]),
        ("full", [["control", "events", "labels"]]),
        (
            "split",
            [
                ["events", "labels"],
                ["clean"],
                ["features", "models"],
                ["examples"],
                ["predictions"],
            ],
        ),
        (
            "ingest,feature,prediction,learning+drift",
            [["events", "labels"], ["clean"], ["features", "models"], ["examples", "predictions"]],
        ),
    ],
)
def test_what_agents_read(chain: str, reads: list[list[str]]) -> None:
    """An agent reads what its operators do, but for what they make themselves."""
    assert [sorted(agent.reads) for agent in parse_chain(chain)] == reads


def test_operators_in_order(factory: Make) -> None:
    """A task has the agent's operators in their order."""
    for chain in ("default", "full", "split"):
        for agent in parse_chain(chain):
            task = factory(agent).make()
            assert tuple(each.name for each in task.operators) == agent.operators


def test_prediction_and_learning_share_models(factory: Make, make_vector: Make) -> None:
    """In one agent, a model that has learned is the one that predicts next."""
    task = factory(AgentSpec(("prediction", "learning"))).make()
    prediction, learning = task.operators
    assert isinstance(prediction, PredictionOperator)
    assert isinstance(learning, LearningOperator)
    made = task.run(Slice([make_vector("e1", label=True), make_vector("e2")]))
    made = [each for each in made if each.topic == "predictions"]
    assert [each.value["model_version"] for each in made] == [0, 1]


def test_tasks_share_nothing(factory: Make, make_vector: Make) -> None:
    """Each partition has a task with state of its own."""
    made = factory(AgentSpec(("prediction", "learning")))
    first, second = made.make(), made.make()
    first.run(Slice([make_vector("e1", label=True)]))
    (prediction,) = second.run(Slice([make_vector("e1")]))
    assert prediction.value["model_version"] == 0


@pytest.mark.parametrize(
    ("operators", "partition"), [(("ingest",), 0), (("ingest", "feature"), None)]
)
def test_ingest_routes_where_a_topic_follows(
    operators: tuple[str, ...], partition: int | None, factory: Make
) -> None:
    """Records move to the partition of the model over `clean`, and stay where there is none."""
    task = factory(AgentSpec(operators), scope="partition").make()
    value = to_json({"id": "e4", "a": 1, "b": 1, "y": True}).encode()
    origin = Origin("events", 3, 0, 1_700_000_000_000, None, value)
    (made,) = task.run(Slice([RawRecord.of(origin)]))
    assert made.partition == partition


def test_large_events_are_refused(factory: Make) -> None:
    """`max_event_bytes` reaches the ingest operator."""
    origin = Origin("events", 0, 0, 0, None, b" " * 101)
    (made,) = factory(AgentSpec(("ingest",))).make().run(Slice([RawRecord.of(origin)]))
    assert made.value["reason"] == "oversized"
