"""How sure the champion's predictions are: thresholds that the labels move, in event order.

Each candidate has a threshold (`models.certainty`), so that whoever comes to serve has one that
fits. An event is served with the champion's as it is at the event's place in the log, and that is
kept until the event ends: the threshold is moved by what was served. It is moved in the order of
the events, not of the labels: where small errors are known sooner than large ones, it would be too
small. So an event counts once all before it have ended, or have waited for as long as blocks of
events do (`block_queue`).

State: thresholds by key; what waiting events were served with; the counts (`coverage`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from math import inf, isnan
from typing import Any, TypeAlias

from millrace.models.certainty.conformal import Conformal, Threshold
from millrace.models.certainty.regions import (
    abstention,
    class_sets,
    intervals,
    why_unknown,
)
from millrace.models.certainty.scores import of_classes, of_numbers
from millrace.models.certainty.steps import LARGEST, LARGEST_OF_CLASSES
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import (
    FeatureVector,
    LabelValue,
    Predicted,
    Probabilities,
    PublishedCertainty,
)
from millrace.streams.operators.base import Reading
from millrace.streams.operators.class_names import as_published, has_boolean_classes
from millrace.streams.operators.coverage import CoverageCount, Covered
from millrace.streams.operators.event_order import EventOrder, Scores, Served
from millrace.streams.operators.joined import Joined
from millrace.streams.operators.keyed_state import KeyedState, StateStore
from millrace.streams.operators.record import Record
from millrace.streams.operators.runs import Run

_NOTHING = Predicted(value=None, probabilities={})

_Met: TypeAlias = tuple[str, float, float | None, float | None]
"""Of an event that has met its label: who served it, the coverage wanted, how wrong it was, and the
threshold."""


class Certainty:
    """The thresholds of one partition.

    Parameters
    ----------
    pipeline
        A definition that asks for certainty.
    conformal
        What it asks for.

    Attributes
    ----------
    champion
        Whose predictions are published.
    stores
        Name to state.
    """

    def __init__(self, pipeline: Pipeline, conformal: Conformal) -> None:
        task = Task(pipeline.task)
        self._conformal = conformal
        self._names = [*pipeline.models]
        self._is_of_classes, self._is_binary = task.is_classification, task is Task.BINARY
        self._is_boolean = has_boolean_classes(pipeline)
        self._is_by_key = conformal.by_key or pipeline.scope == Scope.KEY
        self._largest = LARGEST_OF_CLASSES if task.is_classification else LARGEST
        self.champion = pipeline.champion
        self._by_key: KeyedState[dict[str, Threshold]] = KeyedState(pipeline.max_models)
        self._order = EventOrder()
        self._coverage = CoverageCount(
            conformal.coverage, "sets" if task.is_classification else "intervals"
        )
        self._met: list[_Met] = []  # of a slice, by label
        self._keep()

    def _keep(self) -> None:
        self.stores: dict[str, StateStore] = {
            "certainty": self._by_key,
            "served": self._order.store,
            "coverage": self._coverage.store,
        }

    def inherit(self, before: Certainty) -> None:
        """Go on with what another one keeps."""
        limit, self._by_key = self._by_key.limit, before._by_key
        self._by_key.limit = limit
        if self._conformal.method != before._conformal.method:
            for key, known in [*self._by_key.items()]:
                self._by_key[key] = {
                    name: self._conformal.threshold(each.to_fields())
                    for name, each in known.items()
                }
        self._order = before._order
        self._coverage.inherit(before._coverage)
        if self._is_by_key is not before._is_by_key:
            _empty(self._by_key)
        self._keep()

    def end(self) -> None:
        """Forget all: there is to be no certainty."""
        self._order.clear()
        self._coverage.clear()
        _empty(self._by_key)

    def serve(self, vector: FeatureVector) -> float | None:
        """Return the threshold of the prediction for an event; None before the first label."""
        known = self._by_key.get(self._key(vector), {}).get(self.champion)
        return None if known is None else known.threshold

    def add(self, vector: FeatureVector, block: int, threshold: float | None) -> None:
        """Take the event that came last, and what it was served with."""
        time_ms, key = vector["event_time_ms"], self._key(vector)
        wanted = self._conformal.coverage
        served = Served(block, time_ms, key, self.champion, wanted, threshold)
        self._order.add(vector["event_id"], served)

    def pass_time(self, passed_ms: float) -> None:
        """Wait no longer for labels of events of earlier times."""
        self._learn(self._order.take(passed_ms))

    def drop(self, event_id: str) -> None:
        """Note that an event has ended without a label."""
        if self._order.end(event_id, {}) is not None:
            self._learn(self._order.take(-inf))

    def join(self, joined: Joined) -> None:
        """Take an event that has met its label."""
        columns = self._scores([joined])
        self._meet(joined, {name: column[0] for name, column in columns.items()})

    def take_run(
        self,
        run: Run,
        blocks: Sequence[int],
        watermarks_ms: Sequence[int | None],
        wait_ms: Callable[[int], int],
    ) -> list[float | None]:
        """Take a run, as its records one after the other; return the threshold of each event.

        Parameters
        ----------
        run
            The run.
        blocks
            The block of each event.
        watermarks_ms
            After each event.
        wait_ms
            Returns how long labels are waited for while a block is being filled.
        """
        columns = self._scores(run.joined)
        if len(run.joined) == len(run.events) == len(run.steps) and self._is_at_once:
            return self._learn_at_once(columns)
        thresholds: list[float | None] = []
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        joined = iter(zip(run.joined, rows, strict=True))
        met = 0
        for number, (record, before) in enumerate(zip(run.events, run.labels_before, strict=True)):
            vector = record.value
            for _ in range(before - met):
                self._meet(*next(joined))
            met = before
            thresholds.append(self.serve(vector))
            self.add(vector, blocks[number], thresholds[-1])
            if vector["label"] is not None:
                self._meet(*next(joined))
                met += 1
            if (watermark_ms := watermarks_ms[number]) is not None:
                self.pass_time(watermark_ms - wait_ms(blocks[number]))
        for each in joined:
            self._meet(*each)
        return thresholds

    def settle(self, joined: Sequence[Joined]) -> tuple[list[tuple[int, Record]], Covered]:
        """Account for a slice.

        Parameters
        ----------
        joined
            The events that have met their labels.

        Returns
        -------
        tuple
            Alerts, each with its place; and how often labels were inside.
        """
        covered = self._covered(joined)
        self._met = []
        return [*self._coverage.add(joined, covered, self.champion)], covered

    def published(
        self, answers: Sequence[Predicted], thresholds: Sequence[float | None]
    ) -> list[PublishedCertainty]:
        """Return what predictions say of it."""
        coverage = self._conformal.coverage
        if not self._is_of_classes:
            values = [each["value"] for each in answers]
            bounds = intervals(values, thresholds)  # type: ignore[arg-type]  # they are numbers
            return [
                {
                    "coverage": coverage,
                    "threshold": threshold,
                    "lower": None if found is None else found.lower,
                    "upper": None if found is None else found.upper,
                    "classes": {},
                    "why_none": "" if found is not None else _why_none(value, threshold),
                    "abstained": "",
                }
                for value, threshold, found in zip(values, thresholds, bounds, strict=True)
            ]
        shares = [each["probabilities"] for each in answers]
        sets = class_sets(shares, thresholds, is_binary=self._is_binary)
        classes = [found or {} for found in sets]
        if self._is_boolean:
            classes = as_published(classes)
        abstains = self._conformal.abstain
        return [
            {
                "coverage": coverage,
                "threshold": threshold,
                "lower": None,
                "upper": None,
                "classes": named,
                "why_none": "" if found is not None else _why_none(share, threshold),
                "abstained": str(abstention(found) or "") if abstains else "",
            }
            for share, threshold, found, named in zip(
                shares, thresholds, sets, classes, strict=True
            )
        ]

    def readings(self) -> Iterable[Reading]:
        """Return how often labels are inside, and how large intervals and sets are."""
        return self._coverage.readings()

    @property
    def _is_at_once(self) -> bool:
        """Whether each event counts as soon as it comes, where each brings its label."""
        return not self._is_by_key and self._order.is_empty

    def _key(self, vector: FeatureVector) -> str:
        return vector["key"] or "" if self._is_by_key else ""

    def _scores(self, joined: Sequence[Joined]) -> dict[str, list[float | None]]:
        """Return how wrong each candidate was about each event."""
        labels = [each.label for each in joined]
        predicted = [each.predicted for each in joined]
        scores = {}
        for name in self._names:
            answers = [each.get(name, _NOTHING) for each in predicted]
            if self._is_of_classes:
                shares = [each["probabilities"] for each in answers]
                scores[name] = of_classes(labels, shares, is_binary=self._is_binary)  # type: ignore[arg-type]  # each has a label
            else:
                values = [each["value"] for each in answers]
                scores[name] = of_numbers(labels, values)  # type: ignore[arg-type]  # they are numbers
        return scores

    def _meet(self, joined: Joined, scores: Scores) -> None:
        """Note the scores of an event that has met its label, and learn what can be learned."""
        served = self._order.end(joined.vector["event_id"], scores)
        if served is None:  # it came before there was a threshold
            self._met.append((self.champion, self._conformal.coverage, None, None))
            return
        champion = served.champion
        self._met.append((champion, served.wanted, scores.get(champion), served.threshold))
        self._learn(self._order.take(-inf))

    def _learn_at_once(self, columns: dict[str, list[float | None]]) -> list[float | None]:
        """Learn from events of which each has met its label before the next one came."""
        thresholds: list[float | None] = []
        unserved = [None] * len(columns[self.champion])
        for name, scores in columns.items():
            is_champion = name == self.champion
            before = self._move("", name, scores, None if is_champion else unserved)
            if is_champion:
                thresholds = before
        champion, wanted = repeat(self.champion), repeat(self._conformal.coverage)
        self._met += zip(champion, wanted, columns[self.champion], thresholds, strict=False)
        return thresholds

    def _learn(self, events: Iterable[Served]) -> None:
        """Move thresholds by events, in their order."""
        for each in events:
            for name, score in (each.scores or {}).items():
                served = each.threshold if name == each.champion else None
                self._move(each.key, name, [score], [served])

    def _move(
        self,
        key: str,
        candidate: str,
        scores: Sequence[float | None],
        served: Sequence[float | None] | None,
    ) -> list[float | None]:
        """Move the threshold of a candidate; return what it was before each event."""
        thresholds = self._by_key.changing(key, dict)
        known = thresholds.get(candidate)
        if known is None:
            known = thresholds[candidate] = self._conformal.threshold()
        return known.learn(scores, served, coverage=self._conformal.coverage, largest=self._largest)

    def _covered(self, joined: Sequence[Joined]) -> Covered:
        """Return how often labels of a slice were inside."""
        hits = [
            None if score is None or threshold is None or isnan(score) else score <= threshold
            for _, _, score, threshold in self._met
        ]
        thresholds = [threshold for _, _, _, threshold in self._met]
        if not self._is_of_classes:
            sizes = [2.0 * (threshold or 0.0) for threshold in thresholds]
        else:
            shares = [
                each.predicted.get(champion, _NOTHING)["probabilities"]
                for each, (champion, *_) in zip(joined, self._met, strict=True)
            ]
            sets = class_sets(shares, thresholds, is_binary=self._is_binary)
            sizes = [float(len(found or ())) for found in sets]
        return Covered([wanted for _, wanted, _, _ in self._met], hits, sizes)


def _why_none(predicted: LabelValue | Probabilities | None, threshold: float | None) -> str:
    return str(why_unknown(predicted, threshold) or "")  # type: ignore[arg-type]  # a number or classes


def _empty(store: KeyedState[Any]) -> None:
    for key in [*store]:
        del store[key]
