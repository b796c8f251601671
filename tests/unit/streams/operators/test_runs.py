"""Wherever a log is cut, and whichever records are taken together, the fold is the same."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.streams.formats.json import to_json
from millrace.streams.operators.label_join import LabelJoin
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import Record
from millrace.streams.operators.runs import Run
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from tests.chaos.likeness import difference, entries_of
from tests.unit.streams.operators.drawn import cuts, drawn, drawn_pipeline

Make = Callable[..., Any]
SEEDS = (*range(60, 400), 401)  # 401: a slice of labels, for events at which a candidate was silent


@pytest.fixture
def made_of(make_pipeline: Make) -> Callable[[random.Random], Pipeline]:
    """Draw a definition."""
    return lambda rng: drawn_pipeline(rng, make_pipeline)


def folded(pipeline: Pipeline, records: list[Record], sizes: list[int]) -> tuple[Any, ...]:
    """Fold records in slices; return what is written by topic, counted, and kept."""
    models = ScopedModels(pipeline)
    learning = LearningOperator(pipeline, models)
    operator = PredictionOperator(
        pipeline, models, learning, lambda _: pytest.fail("there are no snapshots")
    )
    written: defaultdict[str, list[str]] = defaultdict(list)
    at = 0
    for size in sizes:
        for each in operator.run(Slice(records[at : at + size])):
            written[each.topic].append(to_json(each.value))
        at += size
    stores = operator.stores | learning.stores
    kept = {name: entries_of(store) for name, store in stores.items()}
    return dict(written), operator.tally + learning.tally, kept


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many records each run has."""
    sizes: list[int] = []
    take_run = LabelJoin.take_run

    def note(join: LabelJoin, run: Run) -> list[float | None]:
        sizes.append(len(run.steps))
        return take_run(join, run)

    monkeypatch.setattr(LabelJoin, "take_run", note)
    return sizes


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slice_is_what_its_records_are_one_by_one(
    seed: int, made_of: Any, make_origin: Make, taken: list[int]
) -> None:
    """Outputs by topic, their order, counts and state are the same wherever the log is cut."""
    rng = random.Random(seed)
    pipeline = made_of(rng)
    records = drawn(rng, pipeline, make_origin)
    written, tally, kept = folded(pipeline, records, [1] * len(records))
    assert taken == []
    found, counted, state = folded(pipeline, records, cuts(rng, len(records)))
    assert found.keys() == written.keys()
    for topic, expected in written.items():
        assert found[topic] == expected, topic
    assert counted == tally
    for name, store in kept.items():
        assert difference(store, state[name]) is None, name


def test_the_streams_are_worth_it(made_of: Any, make_origin: Make, taken: list[int]) -> None:
    """They lead to all that can happen, and many records are in runs."""
    tallies, records_in_all = set[tuple[str, str]](), 0
    actions = set[str]()
    for seed in SEEDS:
        rng = random.Random(seed)
        pipeline = made_of(rng)
        records = drawn(rng, pipeline, make_origin)
        records_in_all += len(records)
        written, tally, _ = folded(pipeline, records, cuts(rng, len(records)))
        tallies |= tally.keys()
        actions |= {
            each.split('"action": "')[1].split('"')[0] for each in written.get("alerts", [])
        }
    fates = {which for what, which in tallies if what == "label"}
    assert fates >= {"joined", "early", "late", "duplicate", "unknown_class", "orphan"}
    assert {which for what, which in tallies if what == "expired"} == {"ttl", "limit"}
    reasons = {which for what, which in tallies if what in ("rejected_event", "rejected_label")}
    assert reasons >= {"predict_error", "learn_error", "invalid_prediction", "duplicate_event"}
    assert actions == {"alert", "reset", "replace"}
    assert sum(taken) > records_in_all / 8
