"""Learning: every labelled event is a test first, and then a training example.

Reads `examples`; writes `alerts`, `rejects`, `audit` and `evaluations`. Compares what every
candidate and baseline had predicted with the label (prequential evaluation), watches the loss of
each candidate for drift and reacts by the pipeline's policy, and trains every model. The models are
kept in the store `models`, which the engine publishes to the topic of that name. A label for which
the champion, a metric or a detector raises an exception goes to `rejects`, with the last frame of
the traceback; the rest goes on. If the champion alone raises, `evaluations` tells of it, once. A
candidate that makes no valid prediction any more is reset or replaced, as `on_invalid_prediction`
says, with an alert.

Commands change who serves, and models (`commanded`). While learning is paused, predictions are
tested and losses watched as ever, but no model changes: neither candidates nor baselines learn,
no policy reacts, and no challenger wins. What comes then is never learned.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Self

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.challenger import Challenger
from millrace.models.candidates.evaluation import MetricsByCount, Prequential
from millrace.models.candidates.losses import losses
from millrace.models.candidates.model_set import ModelSet
from millrace.models.candidates.prototype import Prototype
from millrace.models.monitoring.drift import DriftPolicy
from millrace.models.monitoring.drift_monitor import DriftMonitor, Evidence
from millrace.models.pipeline.default_metrics import default_metrics
from millrace.models.pipeline.definition import Pipeline, Scope
from millrace.models.pipeline.fate import Fate
from millrace.models.pipeline.metrics import MetricFactory
from millrace.models.pipeline.tasks import Task
from millrace.models.user_code import PASSED_ON
from millrace.schemas import RejectReason
from millrace.schemas.records import (
    Alert,
    Example,
    FeatureVector,
)
from millrace.streams.control.commands import RESTORE
from millrace.streams.operators.audit import NO_EFFECT, Cause, audited
from millrace.streams.operators.base import (
    HaltError,
    Operator,
    Reading,
    RecordOperator,
    Topics,
    inserted,
)
from millrace.streams.operators.columns import Made
from millrace.streams.operators.context import Context, LoadVersion, no_version
from millrace.streams.operators.deployment import Deployment
from millrace.streams.operators.failure_report import failure_report
from millrace.streams.operators.invalid import invalid_alert
from millrace.streams.operators.joined import Joined, JoinedColumns
from millrace.streams.operators.keyed_state import KeyedState
from millrace.streams.operators.model_changes import (
    Found,
    after_drift,
    after_invalid,
    change_of,
    end_of_trial,
)
from millrace.streams.operators.reason_shares import SummedReasons
from millrace.streams.operators.record import (
    MODELS_KEY,
    AcceptedRecord,
    AlertRecord,
    AuditRecord,
    ExampleRecord,
    Origin,
    Record,
)
from millrace.streams.operators.scope import ScopedModels

MODELS_STORE = MODELS_KEY.rstrip("/")
"""Full name of the store that is published to the topic `models`."""

_PARTITION = "partition"
_LOSS = "drift.loss"
_DETECTORS = (_LOSS, "drift.inputs", "drift.predictions")
_MOST_READ = 10_000  # models, for a metric: a million take half a second


class LearningOperator(RecordOperator):
    """Evaluate, watch for drift, train.

    Parameters
    ----------
    pipeline
        The definition.
    models
        Prediction asks the same ones where the two share an agent.
    is_apart
        Whether it does not, and follows what is published.
    load_version
        Reads the models of an archived version.
    definition
        Reference of the definition.
    """

    name = "learning"
    runs_within = "prediction"

    def __init__(
        self,
        pipeline: Pipeline,
        models: ScopedModels,
        is_apart: bool = False,
        load_version: LoadVersion = no_version,
        definition: str = "",
    ) -> None:
        self._load_version = load_version
        self._definition = definition
        self._is_apart = is_apart
        self._task = Task(pipeline.task)
        self._policy = DriftPolicy(pipeline.drift.policy)
        self._on_invalid = DriftPolicy(pipeline.on_invalid_prediction)
        self._learns_without_labels = pipeline.learns_without_labels
        self.models = models
        self._evaluation: KeyedState[Prequential] = KeyedState()
        self._monitors: KeyedState[dict[str, DriftMonitor]] = KeyedState(pipeline.max_models)
        self._untouched = Prototype(self._fresh_monitors)
        self.reasons = SummedReasons(pipeline)
        self._keep_beside_models()
        self._watches_at_once = self._policy is not DriftPolicy.ALERT or pipeline.scope == Scope.KEY
        self._watched = [] if pipeline.drift.loss is None else [*pipeline.models]
        self._names = [*pipeline.models, *baselines(self._task)]
        self._joined: list[Joined] = []
        self._trained: dict[int, ModelSet] = {}
        self._versions: list[int] = []
        self._learned = 0
        self._has_failed_alone = False
        super().__init__(
            pipeline,
            self.topics_in([self.name]),
            models=models.by_scope_key,
            evaluation=self._evaluation,
            monitors=self._monitors,
            reasons=self.reasons.store,
            commanded=models.commanded.store,
        )

    @classmethod
    def topics_in(cls, agent: Collection[str]) -> Topics:
        reads = () if cls.runs_within in agent else ("examples",)
        return Topics(frozenset(reads), frozenset({"alerts", "audit", "evaluations", "rejects"}))

    @classmethod
    def make(cls, context: Context) -> Self:
        return cls(context.pipeline, context.models, True, context.load_version, context.definition)

    def inherit(self, before: Operator, deployment: Deployment) -> list[AuditRecord]:
        assert isinstance(before, LearningOperator)
        self._monitors, self._evaluation = before._monitors, before._evaluation
        self.reasons.inherit(before.reasons)
        self._monitors.limit = self.pipeline.max_models
        if deployment.effects("drift.loss"):
            before.models.commanded.store[_LOSS] = deployment.number
        self._keep_beside_models()
        fates = self.models.inherit(before.models, deployment.number, deployment.changes)
        metrics = self.pipeline.metrics or default_metrics(self._task)
        self._inherit_evaluation(metrics, deployment.kept("metrics", metrics), fates)
        self.stores |= {
            "models": self.models.by_scope_key,
            "commanded": self.models.commanded.store,
            "evaluation": self._evaluation,
            "monitors": self._monitors,
            "reasons": self.reasons.store,
        }
        if self._is_apart:
            self.models.catch_up()
        made = [
            deployment.effect(f"models[{name!r}]", fate.name.lower())
            for name, fate in fates.items()
            if fate is not Fate.GOES_ON
        ]
        return made + deployment.effects("metrics", "rolling_window", *_DETECTORS)

    def _inherit_evaluation(
        self,
        metrics: Mapping[str, MetricFactory],
        kept: Collection[str],
        fates: Mapping[str, Fate],
    ) -> None:
        if self.evaluation is None:
            return
        evaluation = self._evaluation.changing(_PARTITION, self._fresh_evaluation)
        begun = [name for name, fate in fates.items() if fate in (Fate.BEGINS, Fate.REPLACES)]
        window = self.pipeline.rolling_window
        evaluation.go_on(self._fresh_evaluation(), metrics, window, kept=kept, begun=begun)

    def _keep_beside_models(self) -> None:
        reasons = (self.reasons.store, lambda *_: None)  # they say whose reasons they are
        self.models.keep_beside((self._monitors, self._renew_monitors), reasons)

    def _renew_monitors(
        self, kept: dict[str, DriftMonitor], begun: Collection[str], since: int
    ) -> None:
        """Let the monitors of a scope go on with models; those that are missing are made later."""
        if self.models.commanded.store.get(_LOSS, 0) > since:
            kept.clear()
        for name in [*kept]:
            if name in begun or name not in self._watched:
                del kept[name]
        for each in kept.values():
            each.go_on(self.pipeline.drift.cooldown, self._policy is DriftPolicy.ALERT)

    def apply(self, command: AcceptedRecord) -> list[AuditRecord]:
        if command.value["command"] == RESTORE:
            return self._restore(command)
        made = self.models.apply(command)
        if self._is_apart:
            self.models.catch_up()
        return made

    def _restore(self, command: AcceptedRecord) -> list[AuditRecord]:
        """Go back to the models of a version."""
        cause, version = Cause.of(command), command.value["arguments"]["version"]
        of_version = None if self.pipeline.scope == Scope.KEY else self._load_version(command)
        if of_version is None:
            why = "the version has no state of this partition, or the scope is key"
            return [audited(cause, "models", NO_EFFECT, evidence={"reason": why})]
        before, after = (
            str(sum(each.version for each in models.values()))
            for models in (self.models.by_scope_key, of_version)
        )
        self.models.restore(of_version)
        evidence = {"version": version}
        return [audited(cause, "models", "restored", before=before, after=after, evidence=evidence)]

    @property
    def evaluation(self) -> Prequential | None:
        """The metrics so far, to be read; None before the first example."""
        return self._evaluation.peek(_PARTITION)

    def process(self, record: Record) -> Iterable[Record]:
        if not isinstance(record, ExampleRecord):
            return ()
        joined = _joined(record.value, record.origin, self._place)
        self._joined.append(joined)
        return self.train(joined)

    def settle(self, made: list[Record]) -> list[Made]:
        joined, self._joined = self._joined, []
        columns = JoinedColumns(self._task, joined, self._names)
        return [*inserted(made, self.account(joined, columns, {}))]

    def train(self, joined: Joined) -> list[Record]:
        """Do what may change the models, where the label is known; then train every model."""
        label = joined.label
        scope_key = self.models.scope_key(joined.vector["key"])
        models = self.models.of(scope_key)
        made: list[Record] = []
        if label is None or not self._learns_without_labels:
            self.models.mark_trained(scope_key)
        if label is not None:
            self._versions.append(models.version)
            made += self._decide(joined, scope_key, models)
            if self._learns_without_labels:
                return made
        if self._is_paused:
            models.passed_over += 1
            return made
        self._trained[id(models)] = models
        rivals = [*models.challengers.values()]
        note_reasons = self.reasons.noting(scope_key, models)
        if note_reasons is not None:
            note_reasons(joined.vector["features"], joined.predicted, label)
        try:
            models.learn(joined.vector["features"], label, self._note_failure)
        except PASSED_ON:
            raise
        except BaseException as error:  # the champion is the user's own
            made.append(self._fail("label", joined.origin, RejectReason.LEARN_ERROR, error))
            made += self._report(joined, models)
        else:
            self._learned += 1
        if len(rivals) > len(models.challengers):
            gone = [each for each in rivals if each.incumbent not in models.challengers]
            made += self._ended(gone, joined, scope_key)
        return made

    def take_failure(self) -> bool:
        """Return whether the champion alone could not learn, since this was asked last."""
        has_failed_alone, self._has_failed_alone = self._has_failed_alone, False
        return has_failed_alone

    def most_labels(self, scope_key: str) -> int:
        """Return how many labels can be learned before a policy may change the models."""
        if not self._watches_at_once:
            return sys.maxsize
        monitors = self._monitors.get(scope_key, {})
        if len(monitors) < len(self._watched):
            return 0
        return min((each.next_check for each in monitors.values()), default=sys.maxsize) - 1

    def take_run(
        self, joined: Sequence[Joined], models: ModelSet, version: int, raised: BaseException | None
    ) -> list[Record]:
        """Note what models have learned in a run, from a version on.

        Parameters
        ----------
        raised
            What the champion raised at the last of it.
        """
        versions = range(version, version + len(joined))
        self._versions += versions
        self._trained[id(models)] = models
        self._learned += len(joined)
        made: list[Record] = []
        if joined and self._watches_at_once:
            columns = JoinedColumns(self._task, joined, self.pipeline.models)
            made += [each for _, each in self._watch("", joined, columns.losses, versions)]
        if raised is not None:
            self._learned -= 1
            made.append(self._fail("label", joined[-1].origin, RejectReason.LEARN_ERROR, raised))
            made += self._report(joined[-1], models)
        return made

    def account(
        self, _joined: Sequence[Joined], columns: JoinedColumns, metrics: MetricsByCount
    ) -> list[tuple[int, Record]]:
        """Measure what was predicted, and watch the losses where this has not been done at once."""
        for each in self._trained.values():
            each.answer_baselines()
        if self._learned:
            self.tally["learned", self.models.commanded.champion] += self._learned
        versions = self._versions
        self._trained, self._versions, self._learned = {}, [], 0
        if not columns:
            made: list[tuple[int, Record]] = []
            if metrics and self.evaluation is not None:
                metrics[0] = self.evaluation.values()
        else:
            made = self._guarded_account(columns, partial(self._measure, metrics))
            if not self._watches_at_once:
                watch = partial(self._watch_all, versions)
                made += self._guarded_account(columns, watch)
        self.reasons.settle()
        return made

    def forget(self, _scope_key: str) -> None:
        """Do nothing: what is kept beside models goes with them."""

    def staleness(self, _scope_key: str, _models: ModelSet) -> int:
        """Return 0: the models that predict are those that have just been trained."""
        return 0

    def readings(self) -> Iterable[Reading]:
        models = self.models.by_scope_key
        trained_last = islice(reversed(models.values()), _MOST_READ)
        most_learned = max((each.version for each in trained_last), default=0)
        yield Reading("model_version", (), most_learned)
        yield Reading("models", (), len(models))
        if self.evaluation is not None:
            yield from _quality(self.evaluation)

    def _measure(self, metrics: MetricsByCount, columns: JoinedColumns) -> list[tuple[int, Record]]:
        evaluation = self._evaluation.changing(_PARTITION, self._fresh_evaluation)
        if metrics:
            failed = evaluation.update_in_parts(columns.labels, columns.predicted, metrics)
        else:
            failed = evaluation.update_columns(columns.labels, columns.predicted)
        return [
            (columns.joined[at].place, self._failed_to_evaluate(columns.joined[at], error))
            for at, error in failed
        ]

    def _watch_all(
        self, versions: Sequence[int], columns: JoinedColumns
    ) -> list[tuple[int, Record]]:
        found = self._watch("", columns.joined, columns.losses, versions)
        return [(columns.joined[at].place, record) for at, record in found]

    def _guarded_account(
        self,
        columns: JoinedColumns,
        step: Callable[[JoinedColumns], list[tuple[int, Record]]],
    ) -> list[tuple[int, Record]]:
        try:
            return step(columns)
        except (HaltError, *PASSED_ON):
            raise
        except BaseException as error:  # a factory of metrics or detectors: none can be watched
            return [(each.place, self._failed_to_evaluate(each, error)) for each in columns.joined]

    def _decide(self, joined: Joined, scope_key: str, models: ModelSet) -> list[Record]:
        """Change the models as policies say."""
        made: list[Record] = []
        if self._watches_at_once:
            made += self._guarded(self._watch_one, joined, scope_key, models)
        broken = models.broken(joined.vector["features"], joined.predicted)
        if broken:
            replace = partial(self._replace_broken, broken)
            made += self._guarded(replace, joined, scope_key, models)
        if models.challengers and not self._is_paused:
            made += self._compare(joined, scope_key, models)
        return made

    def _guarded(
        self,
        step: Callable[[Joined, str, ModelSet], list[Record]],
        joined: Joined,
        scope_key: str,
        models: ModelSet,
    ) -> list[Record]:
        try:
            return step(joined, scope_key, models)
        except (HaltError, *PASSED_ON):
            raise
        except BaseException as error:  # a detector or a factory: user code
            return [self._failed_to_evaluate(joined, error)]

    def _watch_one(self, joined: Joined, scope_key: str, models: ModelSet) -> list[Record]:
        """Watch the losses of one event."""
        assert joined.label is not None
        found = losses(self._task, joined.label, joined.predicted)
        columns = {name: [loss] for name, loss in found.items()}
        return [made for _, made in self._watch(scope_key, [joined], columns, [models.version])]

    def _watch(
        self,
        scope_key: str,
        joined: Sequence[Joined],
        losses: Mapping[str, Sequence[float | None]],
        versions: Sequence[int],
    ) -> list[tuple[int, Record]]:
        """Watch the losses of a scope for drift; return what is found, each with its event."""
        made: list[tuple[int, Record]] = []
        for name, monitor in self._monitors_of(scope_key).items():
            known = [(at, loss) for at, loss in enumerate(losses.get(name, ())) if loss is not None]
            if not known:
                continue
            for place, found in monitor.update_many([loss for _, loss in known]):
                at = known[place][0]
                if isinstance(found, BaseException):
                    made.append((at, self._failed_to_evaluate(joined[at], found)))
                    continue
                alert = self._alert(name, found, versions[at], joined[at], scope_key)
                made.append((at, alert))
                if self._watches_at_once:
                    policy, why = self._in_force(self._policy), after_drift(found, joined[at])
                    reaction = self._react(name, policy, why, joined[at], scope_key)
                    made += [(at, each) for each in reaction]
        return sorted(made, key=itemgetter(0))

    def _monitors_of(self, scope_key: str) -> dict[str, DriftMonitor]:
        """Return the monitors of a scope to change them; those that are missing are made."""
        monitors = self._monitors.changing(scope_key, self._untouched.copy)
        if len(monitors) < len(self._watched):
            monitors = self._monitors[scope_key] = self._untouched.copy() | monitors
        return monitors

    @property
    def _is_paused(self) -> bool:
        return self.models.commanded.is_paused

    def _in_force(self, policy: DriftPolicy) -> DriftPolicy:
        """Return what a policy does now: where nothing is learned, no model is changed."""
        return DriftPolicy.ALERT if self._is_paused else policy

    def _replace_broken(
        self, broken: list[str], joined: Joined, scope_key: str, models: ModelSet
    ) -> list[Record]:
        """Apply the policy to candidates that make no valid prediction any more."""
        policy, vector, origin = self._in_force(self._on_invalid), joined.vector, joined.origin
        made: list[Record] = []
        for name in broken:
            count = models.failures[name]
            made.append(invalid_alert(name, models.version, count, vector, origin, policy))
            made += self._react(name, policy, after_invalid(count, joined), joined, scope_key)
        return made

    def _react(
        self,
        name: str,
        policy: DriftPolicy,
        why: tuple[Cause, Found],
        joined: Joined,
        scope_key: str,
    ) -> list[Record]:
        """Apply a policy to a candidate; return what that has changed."""
        if policy is DriftPolicy.ALERT:
            return []
        self.models.mark_changed(scope_key)
        models = self.models.of(scope_key)
        rival = models.challengers.get(name)
        try:
            models.handle_drift(name, policy, self.pipeline)
        except PASSED_ON:
            raise
        except BaseException as error:  # a factory: user code
            return [self._failed_to_evaluate(joined, error)]
        if policy is DriftPolicy.REPLACE and models.challengers.get(name) is rival:
            return []  # which a deploy has brought, and stays
        cause, found = why
        return [change_of(name, models, rival, cause, {**found, **_event(joined, scope_key)})]

    def _compare(self, joined: Joined, scope_key: str, models: ModelSet) -> list[Record]:
        assert joined.label is not None
        self.models.mark_changed(scope_key)
        compared = {name: each for name, each in joined.predicted.items() if name in models.rivals}
        lost = self.pipeline.comparison_loss.of_each(joined.label, compared)
        ended = models.compare(lost, joined.block, joined.settled)
        return self._ended(ended, joined, scope_key)

    def _ended(
        self, challengers: Iterable[Challenger], joined: Joined, scope_key: str
    ) -> list[Record]:
        return [end_of_trial(each, joined, _event(joined, scope_key)) for each in challengers]

    def _report(self, joined: Joined, models: ModelSet) -> list[Record]:
        """Tell that the champion cannot learn from an example, and another one can.

        Where learning has an agent of its own, a record tells of the first one.
        """
        if not models.champion_alone_failed:
            return []
        if not self._is_apart:
            self._has_failed_alone = True
            return []
        if not self.models.commanded.note_failure():
            return []
        comparison = self.pipeline.comparison
        report = failure_report(
            joined.met,
            joined.vector["event_time_ms"],
            definition=self._definition,
            champion=models.champion,
            command=self.models.commanded.number,
            terms=comparison.terms(self.pipeline.comparison_loss.name),
        )
        return [report]

    def _failed_to_evaluate(self, joined: Joined, error: BaseException) -> Record:
        return self._fail("label", joined.origin, RejectReason.EVALUATE_ERROR, error)

    def _note_failure(self, candidate: str) -> None:
        self.tally["failed", candidate] += 1

    def _alert(
        self, name: str, evidence: Evidence, version: int, joined: Joined, scope_key: str
    ) -> AlertRecord:
        alert = Alert(
            source=f"loss:{name}",
            detector=evidence.detector,
            event_id=joined.vector["event_id"],
            event_time_ms=joined.vector["event_time_ms"],
            position=evidence.position,
            mean_before=evidence.mean_before,
            mean_after=evidence.mean_after,
            action=self._in_force(self._policy).value,
            model=name,
            model_version=version,
            detail="",
            reasons=self.reasons.changes(name, scope_key, version),
        )
        return AlertRecord(alert, joined.origin)

    def _fresh_evaluation(self) -> Prequential:
        pipeline = self.pipeline
        return Prequential(self._task, self._names, pipeline.metrics, pipeline.rolling_window)

    def _fresh_monitors(self) -> dict[str, DriftMonitor]:
        settings = self.pipeline.drift
        if settings.loss is None:
            return {}
        return {
            name: DriftMonitor(
                settings.loss,
                settings.cooldown,
                only_increase=True,
                scaled=not self._task.is_classification,
                quiet=self._policy is DriftPolicy.ALERT,
            )
            for name in self._watched
        }


def _joined(example: Example, origin: Origin, place: int) -> Joined:
    """Return what an example stands for; when its label came matters no more."""
    vector: FeatureVector = {
        "event_id": example["event_id"],
        "key": example["key"],
        "event_time_ms": example["event_time_ms"],
        "label": example["label"],
        "features": example["features"],
    }
    return Joined(
        vector,
        example["predicted"],
        example["label"],
        label_time_ms=None,
        source=None,
        origin=origin,
        place=place,
        met=origin,
        block=example["block"],
        settled=example["settled"],
    )


def _event(joined: Joined, scope_key: str) -> Found:
    """Return at which event a model was changed, and of which key the model is."""
    return {"event_id": joined.vector["event_id"]} | ({"key": scope_key} if scope_key else {})


def _quality(evaluation: Prequential) -> Iterable[Reading]:
    windows = {"cumulative": evaluation.cumulative(), "rolling": evaluation.rolling()}
    for window, by_candidate in windows.items():
        for candidate, metrics in by_candidate.items():
            for metric, value in metrics.items():
                yield Reading("prequential_metric", (candidate, metric, window), value)
    for candidate, count in evaluation.examples.items():
        yield Reading("prequential_examples", (candidate,), count)
