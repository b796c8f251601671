"""With delayed labels, a replacement is judged by what both models said when the event came."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import base

from millrace.models.features import fields
from millrace.models.monitoring.drift import DriftSettings
from millrace.models.selection.trial import Trial, Verdict
from millrace.streams.operators.keyed_state import Change
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator
from millrace.streams.operators.record import Record
from millrace.streams.operators.scope import ScopedModels
from millrace.streams.operators.slice import Slice
from millrace.streams.state import snapshot
from millrace.streams.topology.task import Task

NOW_MS = 1_700_000_000_000
EXAMPLES = 80
LENGTH = 1_500
Make = Callable[..., Any]


class Alarm(base.DriftDetector):
    """Fires once, at its 700th value."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def update(self, x: float) -> None:
        self.seen += 1
        self._drift_detected = self.seen == 700


class Follower(base.Regressor):
    """Says the last label, and something more if it begins late and has learned little."""

    def __init__(self, bias: float = 0.0) -> None:
        self.bias = bias
        self.learned: list[float] = []

    def learn_one(self, x: dict[str, Any], y: float) -> None:
        self.learned.append(y)

    def predict_one(self, x: dict[str, Any]) -> float:
        return said(self.learned, self.bias)


def said(learned: list[float], bias: float) -> float:
    if not learned:
        return 0.0
    is_late = abs(learned[0]) > LENGTH / 50  # labels are small only at first
    return learned[-1] + (bias if is_late and len(learned) < 600 else 0.0)


class Chain:
    """Prediction and learning in one agent, moved to another one now and then."""

    def __init__(self, pipeline: Any, moves: random.Random | None) -> None:
        self._pipeline, self._moves = pipeline, moves
        self._log: dict[tuple[str, str], Change] = {}
        self._start()

    def run(self, record: Record) -> list[Record]:
        if self._moves and self._moves.random() < 0.03:
            self._move()
        return self.task.run(Slice([record]))

    @property
    def model(self) -> Follower:
        model: Follower = self.models.of("").models["own"]  # type: ignore[assignment]
        return model

    def _start(self) -> None:
        self.models = ScopedModels(self._pipeline)
        learning = LearningOperator(self._pipeline, self.models)
        prediction = PredictionOperator(
            self._pipeline, self.models, learning, lambda _: pytest.fail("no snapshots")
        )
        self.task = Task([prediction], lambda: 0)

    def _move(self) -> None:
        for name, store in self.task.stores():
            for change in store.take_changes():
                saved = change.value and snapshot.dump(change.value, b"key")
                self._log[name, change.key] = change._replace(value=saved)
        self._start()
        for name, store in self.task.stores():
            store.restore(
                each._replace(value=each.value and snapshot.load(each.value, b"key", [__name__]))  # type: ignore[arg-type]
                for (owner, _), each in self._log.items()
                if owner == name
            )


def order(delay: int) -> Iterator[tuple[str, int]]:
    for i in range(LENGTH + delay):
        if i < LENGTH:
            yield "event", i
        if i >= delay:
            yield "label", i - delay


def by_the_book(
    labels: list[float], delay: int, bias: float, start: int
) -> tuple[Verdict, int, bool]:
    """Return how its trial ended, at which label, and whether it seemed better at the labels.

    It is born at the label of event `start`, learns half of `EXAMPLES`, and is then compared by a
    trial of its own, which is told of an event when the block of hundred events around it is over
    and has all its labels.
    """
    ours: list[float] = []
    new: list[float] | None = None
    at_event: dict[int, tuple[float, float]] = {}
    at_label: list[float] = []
    compared: dict[int, list[int]] = {}
    trial = Trial(EXAMPLES, is_bounded=False)
    for kind, i in order(delay):
        if kind == "event":
            if new is not None and len(new) >= EXAMPLES // 2:
                at_event[i] = said(ours, bias), said(new, bias)
            continue
        if i == start:
            new = []
        if i in at_event:
            compared.setdefault(i // 100, []).append(i)
        elif new is not None:
            trial.note_warm_up(abs(said(labels[: max(i - delay, 0)], bias) - labels[i]))
        if i % 100 == 99:
            for each in compared.pop(i // 100, ()):
                trial.compare(0, *(abs(value - labels[each]) for value in at_event[each]))
            trial.settle(before=1)
            if trial.verdict is not Verdict.UNDECIDED:
                return trial.verdict, i, sum(at_label) > 0
        if new is not None and len(new) >= EXAMPLES // 2:
            old_at_event = said(labels[: max(i - delay, 0)], bias)
            at_label.append(abs(old_at_event - labels[i]) - abs(said(new, bias) - labels[i]))
        ours.append(labels[i])
        if new is not None:
            new.append(labels[i])
    raise AssertionError("the trial is not decided")


@pytest.mark.parametrize("is_moved", [False, True])
@pytest.mark.parametrize("seed", range(7))
@pytest.mark.parametrize("slope", [0.1, -0.1])
def test_both_predict_at_the_event(
    slope: float,
    seed: int,
    is_moved: bool,
    make_pipeline: Make,
    make_vector: Make,
    make_label: Make,
) -> None:
    """A replacement that is better at the events wins; one that only seems so is put away."""
    delay, bias = 50, 2.5
    rng = random.Random(seed)
    labels = [slope * (i + 0.2 * max(i - 600, 0)) + rng.gauss(0, 0.3) for i in range(LENGTH)]
    drift = DriftSettings(
        policy="replace",
        loss=Alarm,
        inputs=None,
        predictions=None,
        replacement_after=EXAMPLES,
        cooldown=10**6,
    )
    pipeline = make_pipeline(
        "regression", models={"own": lambda: Follower(bias)}, features=(fields("a"),), drift=drift
    )
    chain = Chain(pipeline, random.Random(seed) if is_moved else None)
    alerts: list[Any] = []
    for kind, i in order(delay):
        if kind == "event":
            record = make_vector(f"e{i}", NOW_MS + i, a=1.0)
        else:
            record = make_label(f"e{i}", labels[i])
        alerts += [each.value for each in chain.run(record) if each.topic == "alerts"]
    (start,) = [int(each["event_id"][1:]) for each in alerts if each["source"] == "loss:own"]
    verdict, _, seemed_better = by_the_book(labels, delay, bias, start)
    assert verdict is (Verdict.WON if slope > 0 else Verdict.LOST)
    assert seemed_better
    assert chain.models.of("").challengers == {}
    assert len(chain.model.learned) == (LENGTH - start if verdict is Verdict.WON else LENGTH)
