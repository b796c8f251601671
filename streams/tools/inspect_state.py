"""The saved models: version, metrics and a digest of each, so that two runs can be compared.

The state of the agent that learns is read as another worker would take it over. Two models with
equal digests predict the same for every feature vector of a fixed sample and have the same
metrics, to the last bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.predicting import predictor
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.sample_events import sample_vectors
from millrace.models.user_code import PASSED_ON
from millrace.schemas.records import Features
from millrace.streams.formats.json import to_json
from millrace.streams.kafka.admin import count_partitions
from millrace.streams.kafka.protocols import Clients
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.runtime.definitions import AgentDefinitions
from millrace.streams.settings import Settings
from millrace.streams.state.keys import state_key
from millrace.streams.state.log import StateLog
from millrace.streams.state.records import Saved
from millrace.streams.tools.defined import agent_definitions
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.task import Task
from millrace.streams.topology.topics import state_topic, topic_prefix


@dataclass(frozen=True)
class CandidateState:
    """One model as it was saved.

    Attributes
    ----------
    partition, scope_key, model
        Which one; `scope_key` is empty unless the scope is `key`.
    is_champion
        Whether its predictions are published.
    version
        Examples that it has learned.
    measured
        Examples behind its metrics; with the scope `key`, those of the whole partition.
    metrics
        Metric to value over all examples, in full precision.
    failures
        How often it raised an exception.
    digest
        SHA-256, in hexadecimal, of its metrics and of its predictions for the sample.
    """

    partition: int
    scope_key: str
    model: str
    is_champion: bool
    version: int
    measured: int
    metrics: dict[str, float]
    failures: int
    digest: str


@dataclass(frozen=True)
class SavedState:
    """The state of the agent that learns.

    Attributes
    ----------
    covers
        Partition to input topic to the first offset that the state has not seen.
    """

    pipeline: str
    agent: str
    covers: dict[int, dict[str, int]]
    candidates: list[CandidateState]

    def to_json(self) -> str:
        """Return all of it as JSON; NaN and infinity become null."""
        return to_json(asdict(self), indent=2)


def inspect_state(clients: Clients, pipeline: Pipeline, settings: Settings) -> SavedState:
    """Read the saved models of a pipeline and describe them.

    Raises
    ------
    BrokerError
        The broker does not answer, or has no state of such an agent: perhaps the workers run
        another chain.
    SnapshotError
        The state is signed with another key, or belongs to another definition.
    """
    agent = learning_agent(settings, pipeline)
    saved, definitions = read_state(clients, pipeline, settings, agent)
    candidates = []
    vectors = sample_vectors(pipeline)
    for partition, state in sorted(saved.items()):
        task = definitions.live(state.definition).task
        state.restore(task)
        candidates += describe(partition, task, vectors)
    covers = {partition: state.covers for partition, state in sorted(saved.items())}
    return SavedState(pipeline.name, agent.name, covers, candidates)


def learning_agent(settings: Settings, pipeline: Pipeline) -> AgentSpec:
    """Return the agent that learns."""
    return next(each for each in settings.agents_of(pipeline) if "learning" in each)


def read_state(
    clients: Clients, pipeline: Pipeline, settings: Settings, agent: AgentSpec
) -> tuple[dict[int, Saved], AgentDefinitions]:
    """Return an agent's saved state by partition, and the definitions of tasks to restore it to."""
    prefix = topic_prefix(pipeline)
    partitions = count_partitions(clients, prefix + state_topic(agent))
    definitions = agent_definitions(clients, pipeline, settings, agent, partitions)

    def find(digest: str) -> Pipeline:
        return definitions(digest).factory.pipeline

    key, names = state_key(settings), definitions.renamed
    log = StateLog(pipeline, agent, clients, prefix, key, find=find, renamed=names)
    return log.read(range(partitions)), definitions


def describe(partition: int, task: Task, vectors: Iterable[Features]) -> list[CandidateState]:
    """Describe every model of one partition, by scope key and name."""
    learning = next(each for each in task.operators if isinstance(each, LearningOperator))
    evaluation = learning.evaluation
    metrics = evaluation.cumulative() if evaluation else {}
    measured = evaluation.examples if evaluation else {}
    rows = [*vectors]
    return [
        CandidateState(
            partition=partition,
            scope_key=scope_key,
            model=name,
            is_champion=name == learning.models.commanded.champion,
            version=models.version,
            measured=measured.get(name, 0),
            metrics=metrics.get(name, {}),
            failures=models.failures[name],
            digest=_digest(models, name, metrics.get(name, {}), rows),
        )
        for scope_key in sorted(learning.models.by_scope_key)
        for models in [learning.models.of(scope_key)]
        for name in models.models
    ]


def _digest(models: ModelSet, name: str, metrics: dict[str, float], vectors: list[Features]) -> str:
    parts = [_predictions(models, models.models[name], vectors), repr(sorted(metrics.items()))]
    if name in models.challengers:
        parts.append(_predictions(models, models.challengers[name].model, vectors))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _predictions(models: ModelSet, model: Model, vectors: list[Features]) -> str:
    """Return what a model predicts for each vector, as text in which any two floats differ."""
    predict = predictor(model, models.task, probabilities=True)
    predictions = []
    for vector in vectors:
        try:
            predictions.append(repr(sorted(predict(dict(vector)).items())))
        except PASSED_ON:
            raise
        except BaseException as error:  # a user's model may, for the same vectors each time
            predictions.append(type(error).__name__)
    return "\n".join(predictions)
