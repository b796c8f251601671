"""What the demo knows at one moment: what it sent, what `/metrics` says, what came on two topics.

Nothing here reads a clock, a topic or a terminal.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum

from millrace.models.candidates.baselines import baselines
from millrace.models.pipelines.loans import pipeline
from millrace.schemas.records import Alert, Prediction
from millrace.streams.demo.curve import Reading
from millrace.streams.demo.script import Kind, Plan
from millrace.streams.observability import names
from millrace.streams.observability.scraping import Samples
from millrace.streams.operators.record import AlertRecord, PredictionRecord, Record
from millrace.streams.replay.report import quantile

_PREDICTIONS = 8  # kept to be shown
_RATE_READINGS = 12  # about three seconds


class Phase(Enum):
    """What is going on, in the words that are shown."""

    STARTING = "Starting the broker and the worker, which takes a few seconds."
    BEFORE_DRIFT = "Loans are granted by income."
    AFTER_DRIFT = "▲ Drift: loans are now granted by age, no longer by income."
    FINISHING = "All events are sent. Waiting for the last labels to be learned."
    STAYING = "All is done. The page stays until Ctrl-C."
    STOPPING = "Stopping the worker."


class DemoState:
    """Everything that the live view, the plain lines and the summary show."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.page = ""  # its address, once it is served
        self.phases = [Phase.STARTING]  # those that have begun, in order
        self.sent: Counter[Kind] = Counter()
        self.curves: dict[str, list[Reading]] = {
            name: [] for name in (*pipeline.models, *baselines(pipeline.task))
        }
        self.alerts: list[Alert] = []
        self.predictions_read = 0
        self.newest_predictions: deque[Prediction] = deque(maxlen=_PREDICTIONS)
        self._recent: deque[tuple[float, int]] = deque(maxlen=_RATE_READINGS)
        self.observe(Samples([]), seconds=0.0)

    @property
    def events_sent(self) -> int:
        """Records sent to the topic `events`, the invalid ones included."""
        return self.sent[Kind.EVENT] + self.sent[Kind.INVALID]

    @property
    def rejected(self) -> int:
        """Events rejected, for any reason."""
        return sum(self.rejected_events.values())

    @property
    def has_drifted(self) -> bool:
        """Whether an application that is granted by the new rule has been sent."""
        return self.sent[Kind.EVENT] > self.plan.drift_at

    @property
    def events_per_second(self) -> float:
        """Predictions per second over the last few seconds."""
        if len(self._recent) < 2:
            return 0.0
        (then, before), (now, predicted) = self._recent[0], self._recent[-1]
        return (predicted - before) / (now - then)

    def enter(self, phase: Phase) -> None:
        """Begin a phase, unless it has begun."""
        if phase is not self.phases[-1]:
            self.phases.append(phase)

    def count_sent(self, kind: Kind) -> None:
        """Count a record that has been produced."""
        self.sent[kind] += 1
        if kind is Kind.EVENT:
            self.enter(Phase.AFTER_DRIFT if self.has_drifted else Phase.BEFORE_DRIFT)

    def observe(self, samples: Samples, seconds: float) -> None:
        """Take over what `/metrics` says, `seconds` after the start of the demo."""
        self.seconds = seconds
        self.predicted = int(samples.total(names.PREDICTIONS.total))
        self.learned = int(samples.total(names.EXAMPLES_LEARNED.total))
        self.unlabelled = int(samples.total(str(names.PENDING), kind="event"))
        self.alerts_raised = int(samples.total(names.ALERTS.total))
        self.rejected_events = _by_reason(samples, names.EVENTS_REJECTED.total)
        self.rejected_labels = _by_reason(samples, names.LABELS_REJECTED.total)
        self.median_seconds, self.p99_seconds = (quantile(samples, q) for q in (0.5, 0.99))
        quality = str(names.PREQUENTIAL_METRIC)
        self.rolling, self.overall = (
            samples.by("candidate", quality, metric="accuracy", window=window)
            for window in ("rolling", "cumulative")
        )
        if self.predicted:
            self._recent.append((seconds, self.predicted))
        # The counter of labels learned is updated a moment later than the accuracy.
        self._extend_curves(int(samples.total(str(names.MODEL_VERSION))))

    def add(self, record: Record) -> None:
        """Take over a record from the topic `alerts` or `predictions`."""
        if isinstance(record, AlertRecord):
            self.alerts.append(record.value)
        elif isinstance(record, PredictionRecord):
            self.predictions_read += 1
            self.newest_predictions.append(record.value)

    def _extend_curves(self, learned: int) -> None:
        for name, readings in self.curves.items():
            if name in self.rolling and learned > (readings[-1].learned if readings else 0):
                readings.append(Reading(learned, self.rolling[name]))


def _by_reason(samples: Samples, name: str) -> dict[str, int]:
    counts = samples.by("reason", name)
    return {reason: int(count) for reason, count in sorted(counts.items()) if count}
