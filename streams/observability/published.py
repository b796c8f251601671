"""What becomes visible with a commit, counted as it is put, without keeping the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from millrace.streams.operators.columns import Made, OutcomeColumns, PredictionColumns
from millrace.streams.operators.record import AlertRecord, OutcomeRecord, PredictionRecord

_COUNTED = frozenset({"predictions", "outcomes", "alerts"})


class Published:
    """Counts of predictions, outcomes and alerts.

    Attributes
    ----------
    predictions
        By the name of the model.
    event_times_ms
        Of the predictions: the timestamps of the records that they go back to.
    outcomes
        By fate.
    alerts
        By detector and source.
    """

    def __init__(self, made: Iterable[Made] = ()) -> None:
        self.predictions: Counter[str] = Counter()
        self.event_times_ms: Counter[int] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.alerts: Counter[tuple[str, str]] = Counter()
        self.add_all(made)

    def add_all(self, made: Iterable[Made]) -> None:
        """Count what was put."""
        for each in made:
            if each.topic in _COUNTED:
                self.add(each)

    def add(self, made: Made) -> None:
        """Count a record, or columns."""
        if isinstance(made, PredictionColumns):
            self.predictions[made.model] += len(made)
            self.event_times_ms.update([each.timestamp_ms for each in made.origins])
        elif isinstance(made, OutcomeColumns):
            self.outcomes.update(made.fates)
        elif isinstance(made, PredictionRecord):
            self.predictions[made.value["model"]] += 1
            self.event_times_ms[made.origin.timestamp_ms] += 1
        elif isinstance(made, OutcomeRecord):
            self.outcomes[made.value["fate"]] += 1
        elif isinstance(made, AlertRecord):
            self.alerts[made.value["detector"], made.value["source"]] += 1

    def clear(self) -> None:
        """Begin again."""
        for each in (self.predictions, self.event_times_ms, self.outcomes, self.alerts):
            each.clear()
