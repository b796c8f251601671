"""A dry run: fresh models are trained on made-up events, saved and loaded, before the first event.

What cannot be saved would fail at the first flush, and what cannot be loaded when a worker takes
over; a model that answers otherwise in a second run would make a replay another model. These are
refused. An exception of the user's code is a warning: it need not take made-up values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from millrace.models.candidates.candidate import Candidate
from millrace.models.monitoring.drift_monitor import DriftMonitor
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sample_events import sample_vectors
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import PASSED_ON, shown
from millrace.schemas import SnapshotError
from millrace.schemas.records import Features, LabelValue
from millrace.streams.state import snapshot
from millrace.streams.state.allowed import own_modules
from millrace.streams.state.culprit import culprit, described

_EVENTS = 50
_SECONDS = 2.0
_KEY = b"of a dry run"
_SEED = 20_250_303


class Example(NamedTuple):
    """The features of a made-up event, with a made-up label."""

    features: Features
    label: LabelValue | None


@dataclass
class Findings:
    """What a dry run has shown.

    Attributes
    ----------
    errors
        What would fail for certain, each in one line that names the part and the fix.
    warnings
        What raised, or took too long, for made-up events.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class DryRun:
    """Trains, saves and loads the models of a pipeline.

    Parameters
    ----------
    pipeline
        The definition.
    clock
        Seconds, monotonic.
    begin
        Called with the name of each part before it is tried.

    Attributes
    ----------
    found
        What it has shown so far.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        clock: Callable[[], float],
        begin: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.found = Findings()
        self._pipeline = pipeline
        self._task = Task(pipeline.task)
        self._clock = clock
        self._begin = begin
        self._allow = ["millrace.streams.operators", *own_modules(pipeline)]
        self._stores: dict[str, dict[str, Any]] = {}

    def run(self) -> Findings:
        """Try everything, on up to 50 made-up events, within about 2 seconds."""
        self._begin("features")
        examples = self._examples()
        for name in self._pipeline.models:
            place = f"models[{name!r}]"
            self._begin(place)
            self._try_model(name, place, examples)
        for place, part in self._others():
            self._begin(place)
            self._reload(place, part)
        return self.found

    def _examples(self) -> list[Example]:
        """Return made-up examples, and note what the features raised."""
        raised: Counter[str] = Counter()
        first: dict[str, str] = {}

        def note(name: str, error: BaseException) -> None:
            raised[name] += 1
            first.setdefault(name, shown(error))

        vectors = sample_vectors(
            self._pipeline, lambda store: self._stores.setdefault(store.name, {}), note
        )
        for name, count in raised.items():
            self.found.warnings.append(
                f"the feature {name!r} raised {first[name]} for {count} of {len(vectors)} made-up"
                " events"
            )
        random = Random(_SEED)  # noqa: S311 - repeatable, no secret
        return [Example(each, self._label(random)) for each in vectors[:_EVENTS]]

    def _label(self, random: Random) -> LabelValue | None:
        if self._pipeline.learns_without_labels:
            return None
        if self._task is Task.REGRESSION:
            return random.gauss(0, 10)
        return random.choice(self._pipeline.allowed_labels.examples)

    def _try_model(self, name: str, place: str, examples: list[Example]) -> None:
        end = self._clock() + _SECONDS / len(self._pipeline.models) / 2
        trained = self._train(name, examples, lambda: self._clock() < end)
        examples = examples[: len(trained.answers)]
        if trained.raised and not self._refuse_text(name, place, examples, trained.raised):
            self.found.warnings.append(
                f"{place} raised {shown(trained.raised[0][1])} for {len(trained.raised)} of"
                f" {len(examples)} made-up events"
            )
        if trained.answers != self._train(name, examples, lambda: True).answers:
            self.found.errors.append(
                f"{place} must answer the same in two runs over the same events; got other answers."
                " Give it a seed, and let it depend on nothing but what it has learned"
            )
        loaded = self._reload(place, trained.candidate.model)
        if loaded is not None:
            again = trained.candidate.with_model(loaded)
            if self._answers(trained.candidate, examples) != self._answers(again, examples):
                self.found.errors.append(
                    f"{place} must answer the same after it was saved and loaded; got other"
                    " answers. Check its __getstate__, __setstate__ and __reduce__"
                )

    def _train(
        self, name: str, examples: Sequence[Example], has_time: Callable[[], bool]
    ) -> Trained:
        model = self._pipeline.fresh_model(name)
        candidate = Candidate(model, self._task, probabilities=self._task.is_classification)
        trained = Trained(candidate, [], [])
        for example in examples:
            try:
                answer = repr(candidate.predict({**example.features}))
                candidate.learn({**example.features}, example.label)
            except PASSED_ON:
                raise
            except BaseException as error:  # a user's model may raise anything
                answer = type(error).__name__
                trained.raised.append((example, error))
            trained.answers.append(answer)
            if not has_time():
                break
        return trained

    def _answers(self, candidate: Candidate, examples: list[Example]) -> list[str]:
        answers = []
        for example in examples[-5:]:
            try:
                answers.append(repr(candidate.predict({**example.features})))
            except BaseException as error:  # noted when it was trained
                answers.append(type(error).__name__)
        return answers

    def _refuse_text(
        self,
        name: str,
        place: str,
        examples: list[Example],
        raised: list[tuple[Example, BaseException]],
    ) -> bool:
        """Refuse a model that takes no text, where there is text among the features."""
        texts = {
            key for each in examples for key, value in each.features.items() if _is_text(value)
        }
        with_text = [each for each in examples if texts & each.features.keys()]
        if not texts or len(raised) < len(with_text) / 2:
            return False
        without = [Example(_without(each.features, texts), each.label) for each in examples]
        if self._train(name, without, lambda: True).raised:
            return False
        self.found.errors.append(
            f"{place} must be a model that takes text, since the features {sorted(texts)} are text;"
            f" got one that raised {shown(raised[0][1])}. Encode them, as"
            " catalogue.factory(..., numeric=False) does, or leave them out"
        )
        return True

    def _others(self) -> Iterator[tuple[str, object]]:
        """Yield what state holds beside models: the user's metrics, detectors and features."""
        for name, factory in (self._pipeline.metrics or {}).items():
            yield f"metrics[{name!r}]", factory()
        for place, detector in self._pipeline.drift.detectors():
            yield place, DriftMonitor(detector, self._pipeline.drift.cooldown)
        for name, entries in self._stores.items():
            yield f"the features' store {name!r}", entries

    def _reload(self, place: str, part: object) -> Any:
        """Save and load a part; return what was loaded, or None where that failed."""
        try:
            data = snapshot.dump(part, _KEY)
        except SnapshotError:
            where, what = culprit(place, part, _cannot_be_saved)
            self.found.errors.append(
                f"{where} must be something that can be saved; got {described(what)}."
                " Define functions and classes at the top of the pipeline's file, or of a module"
                " beside it, and leave files, locks and connections out by __getstate__"
            )
            return None
        try:
            return snapshot.load(data, _KEY, self._allow)
        except SnapshotError:
            where, what = culprit(place, part, self._cannot_be_loaded)
            self.found.errors.append(
                f"{where} must be something that can be loaded again; got {described(what)}."
                " State may hold what River has, and what the pipeline's own modules define"
            )
            return None

    def _cannot_be_loaded(self, part: object) -> bool:
        try:
            snapshot.load(snapshot.dump(part, _KEY), _KEY, self._allow)
        except SnapshotError:
            return True
        return False


class Trained(NamedTuple):
    """A model after its training, what it answered to each event, and what it raised."""

    candidate: Candidate
    answers: list[str]
    raised: list[tuple[Example, BaseException]]


def _cannot_be_saved(part: object) -> bool:
    try:
        snapshot.dump(part, _KEY)
    except SnapshotError:
        return True
    return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _without(features: Features, names: set[str]) -> Features:
    return {name: value for name, value in features.items() if name not in names}
