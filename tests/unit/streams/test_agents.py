"""A Faust agent iterates over its engine's batches."""

from __future__ import annotations

import asyncio

import faust
import pytest

from millrace.schemas import BrokerError, TopicError
from millrace.streams.agents import BatchChannel, define_agent
from millrace.streams.kafka.errors import timed_out


class FakeEngine:
    """Gives batches, and keeps those that are processed."""

    name = "ingest"

    def __init__(self, *batches):
        self.batches = [*batches]
        self.processed = []
        self.outcomes = {}

    async def next_batch(self):
        return self._or_raise(self.batches.pop(0)) if self.batches else None

    async def process(self, batch):
        self.processed.append(batch)
        self._or_raise(self.outcomes.get(batch))

    def _or_raise(self, outcome):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def app():
    return faust.App("test", broker="kafka://127.0.0.1:0", store="memory://")


def test_a_channel_ends_with_the_engines_batches(app):
    """None from the engine means that it is time to stop."""

    async def collect():
        return [batch async for batch in _Only(BatchChannel(app, FakeEngine(1, 2)))]

    assert asyncio.run(collect()) == [1, 2]


class _Only:
    """Iterates over a channel as it is, without the stream that Faust makes of it."""

    def __init__(self, channel):
        self.channel = channel

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await self.channel.__anext__()


def test_a_copy_of_a_channel_has_the_same_engine(app):
    """Faust iterates over copies."""
    engine = FakeEngine()
    assert BatchChannel(app, engine).clone(is_iterator=True).engine is engine


def test_an_agent_has_the_engines_name_and_processes_its_batches(app):
    """Under that name it is in Faust's list of agents."""
    engine = FakeEngine()
    define_agent(app, engine)
    (agent,) = app.agents.values()
    assert agent.name == "ingest"

    async def batches():
        for each in ("first", "second"):
            yield each

    asyncio.run(agent.fun(batches()))
    assert engine.processed == ["first", "second"]


@pytest.mark.parametrize("error", [timed_out(), TopicError("there is no topic a any more")])
def test_a_known_failure_is_no_crash(app, error):
    """Faust would log a traceback at every attempt; the engine starts again by itself."""
    engine = FakeEngine(error, 1, error, 2)
    engine.outcomes[1] = error
    define_agent(app, engine)
    (agent,) = app.agents.values()
    channel = _Only(BatchChannel(app, engine))
    asyncio.run(agent.fun(channel))
    assert engine.processed == [1, 2]


@pytest.mark.parametrize("error", [ValueError("own"), BrokerError("refused")])
def test_other_errors_are(app, error):
    """They reach Faust, which logs them and restarts the agent."""
    for engine in (FakeEngine(error), FakeEngine(1)):
        engine.outcomes[1] = error
        define_agent(app, engine)
        agent = [*app.agents.values()][-1]
        with pytest.raises(type(error)):
            asyncio.run(agent.fun(_Only(BatchChannel(app, engine))))
