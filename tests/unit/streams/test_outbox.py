"""What an agent writes is refused, before anything is sent, where no topic would take it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.definition import Pipeline
from schemas import BrokerError
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.settings import Settings
from streams.state import StateRecord
from streams.topics import MAX_RECORD_BYTES, TopicCodec


def test_state_beyond_the_limit_names_the_setting(make_pipeline: Callable[..., Pipeline]) -> None:
    """An entry that no state topic takes says which limit it is over, and what to do."""
    pipeline = make_pipeline()
    codec, metrics = TopicCodec(pipeline), Metrics(pipeline.name)
    outbox = Outbox("p.learning", Settings(), "p.", codec, {"p.models": 1}, metrics)
    entry = StateRecord("models", "learning/models/", bytes(MAX_RECORD_BYTES), [])

    with pytest.raises(BrokerError, match=r"max\.message\.bytes of models.*bound the model's size"):
        outbox.put_state(0, entry)
