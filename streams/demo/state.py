"""What the demo knows at one moment: from its own sending, `/metrics` and two topics.

Nothing here reads a clock, a topic or a terminal.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from enum import Enum

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.curve import Course, Curve
from millrace.streams.demo.script import Kind, Plan
from millrace.streams.replay.report import quantile
from millrace.streams.worker.subprocess import Samples

_RATE_SECONDS = 3.0
_NEWEST = 8


class Phase(Enum):
    STARTING = "starting"
    BEFORE_DRIFT = "before the drift"
    AFTER_DRIFT = "after the drift"
    FINISHING = "finishing"
    STOPPING = "stopping"


class DemoState:
    """Everything that a view or the summary shows.

    Parameters
    ----------
    plan
        What is played.
    pipeline
        What runs.
    candidates
        Names of the models and baselines, in the order in which they are shown.

    Attributes
    ----------
    phases
        Those that have begun, in order.
    seconds
        Since the demo was started.
    sent
        Records produced, by kind.
    predictions, learned, waiting
        As the worker counts them: predictions made, labels learned, events without a label.
    rejected_events, rejected_labels
        By reason.
    latency_p50_seconds, latency_p99_seconds
        From produced to predicted; None before the first prediction.
    predictions_read, alerts
        What came on the topics.
    """

    def __init__(self, plan: Plan, pipeline: Pipeline, candidates: Iterable[str]) -> None:
        self.plan = plan
        self.pipeline = pipeline
        self.curves = {name: Curve() for name in candidates}
        self.overall: dict[str, float] = {}
        self.phases = [Phase.STARTING]
        self.seconds = 0.0
        self.sent: Counter[Kind] = Counter()
        self.predictions = 0
        self.learned = 0
        self.waiting = 0
        self.alerts_counted = 0
        self.rejected_events: dict[str, int] = {}
        self.rejected_labels: dict[str, int] = {}
        self.latency_p50_seconds: float | None = None
        self.latency_p99_seconds: float | None = None
        self.alerts: list[Alert] = []
        self.predictions_read = 0
        self.newest_predictions: deque[Prediction] = deque(maxlen=_NEWEST)
        self._recent: deque[tuple[float, int]] = deque()

    @property
    def phase(self) -> Phase:
        """The last phase that has begun."""
        return self.phases[-1]

    @property
    def events_sent(self) -> int:
        """Records on the topic `events`: the bad ones, too."""
        return self.sent[Kind.EVENT] + self.sent[Kind.BAD]

    @property
    def labels_sent(self) -> int:
        """Records on the topic `labels`."""
        return self.sent[Kind.LABEL]

    @property
    def has_drifted(self) -> bool:
        """Whether an application that is granted by the new rule has been sent."""
        return self.sent[Kind.EVENT] > self.plan.drift_at

    @property
    def events_per_second(self) -> float:
        """Predictions per second over the last few seconds."""
        if not self._recent:
            return 0.0
        (first_at, first), (last_at, last) = self._recent[0], self._recent[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0

    def enter(self, phase: Phase) -> None:
        """Take in that a phase has begun; the one at hand does not begin again."""
        if phase is not self.phase:
            self.phases.append(phase)

    def count_sent(self, kind: Kind) -> None:
        """Take in that a record has been produced."""
        self.sent[kind] += 1
        if kind is Kind.EVENT:
            self.enter(Phase.AFTER_DRIFT if self.has_drifted else Phase.BEFORE_DRIFT)

    def observe(self, samples: Samples, seconds: float) -> None:
        """Take in what `/metrics` says.

        Parameters
        ----------
        samples
            The page.
        seconds
            When: since the demo was started.
        """
        self.predictions = int(samples.total("millrace_predictions_total"))
        self.learned = int(samples.total("millrace_examples_learned_total"))
        self.waiting = int(samples.total("millrace_pending", kind="event"))
        self.alerts_counted = int(samples.total("millrace_alerts_total"))
        self.rejected_events = _counts(samples, "millrace_events_rejected_total")
        self.rejected_labels = _counts(samples, "millrace_labels_rejected_total")
        self.latency_p50_seconds = quantile(samples, 0.5)
        self.latency_p99_seconds = quantile(samples, 0.99)
        self._observe_quality(samples)
        self._observe_rate(seconds)

    def add_alert(self, alert: Alert) -> None:
        """Take in an alert from its topic."""
        self.alerts.append(alert)

    def add_prediction(self, prediction: Prediction) -> None:
        """Take in a prediction from its topic, to be shown."""
        self.newest_predictions.append(prediction)

    def course(self, candidate: str) -> Course:
        """Return how a candidate came through the drift."""
        return self.curves[candidate].course(self.plan.drift_at)

    def events_after_drift(self, alert: Alert) -> int:
        """Return how many events after the drift an alert was raised; below 0 for before it."""
        return int(alert["event_id"]) - self.plan.drift_at

    def _observe_quality(self, samples: Samples) -> None:
        by_window = {
            window: samples.by(
                "candidate", "millrace_prequential_metric", metric="accuracy", window=window
            )
            for window in ("rolling", "cumulative")
        }
        learned = int(
            samples.total("millrace_model_version")
        )  # of the same moment, unlike counters
        for name, curve in self.curves.items():
            if name in by_window["rolling"] and learned:
                curve.add(learned, by_window["rolling"][name])
                self.overall[name] = by_window["cumulative"][name]

    def _observe_rate(self, seconds: float) -> None:
        self.seconds = seconds
        self._recent.append((seconds, self.predictions))
        while seconds - self._recent[0][0] > _RATE_SECONDS:
            self._recent.popleft()


def _counts(samples: Samples, name: str) -> dict[str, int]:
    counts = samples.by("reason", name)
    return {reason: int(count) for reason, count in sorted(counts.items()) if count}
