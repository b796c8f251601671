"""Faust agents: one for each group of chained operators, with no logic of their own.

Faust supervises them: it restarts one that raises, and starts and stops them with the worker. What
they iterate over is a channel of batches, which librdkafka fills off the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import faust
from faust.channels import Channel

from millrace.schemas import TopicError
from millrace.streams.kafka.errors import is_outage
from millrace.streams.runtime.engine import Batch, Engine


class BatchChannel(Channel[Batch]):
    """A Faust channel whose next value is the engine's next batch."""

    def __init__(self, app: faust.App, engine: Engine, **options: Any) -> None:
        self.engine = engine
        super().__init__(app, **options)

    async def __anext__(self) -> Batch:  # type: ignore[override]  # Faust takes any value
        while True:
            with _through_known_failures():
                batch = await self.engine.next_batch()
                if batch is None:
                    raise StopAsyncIteration
                return batch

    def _clone_args(self) -> Mapping[str, object]:
        return {**super()._clone_args(), "engine": self.engine}


def define_agent(app: faust.App, engine: Engine) -> None:
    """Add the agent that an engine runs to the app."""

    @app.agent(BatchChannel(app, engine), name=engine.name)
    async def agent(batches: AsyncIterable[Batch]) -> None:
        async for batch in batches:
            with _through_known_failures():
                await engine.process(batch)


@contextmanager
def _through_known_failures() -> Iterator[None]:
    """Go on where the broker, or a topic, is away: the engine starts again, and has said so.

    For Faust, an exception is a crash, of which it logs the traceback at every attempt.
    """
    try:
        yield
    except TopicError:  # which says all that there is to say
        pass
    except Exception as error:
        if not is_outage(error):
            raise
