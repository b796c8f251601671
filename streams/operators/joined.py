"""Events that have met their labels: one by one as models learn, as columns for the accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import NamedTuple, Protocol

from millrace.models.candidates.evaluation import MetricsByCount
from millrace.models.candidates.losses import loss_column
from millrace.models.candidates.scores import PredictedColumn
from millrace.models.pipeline.comparison_loss import ComparisonLoss
from millrace.models.pipeline.tasks import Task
from millrace.schemas.records import FeatureVector, LabelValue, Predicted
from millrace.streams.operators.record import Origin, Record

_NOTHING = Predicted(value=None, probabilities={})
_VALUE, _PROBABILITIES = itemgetter("value"), itemgetter("probabilities")


class Joined(NamedTuple):
    """An event to train on, with its label.

    Attributes
    ----------
    vector
        The features that the models saw.
    predicted
        What each candidate predicted. The baselines' part is filled in at the end of the slice.
    label
        None where models learn without labels.
    label_time_ms
        When the label became known; None where that is unknown.
    source
        Where the label came from; None where that is unknown, or there is none.
    origin
        Of the record that brought the label.
    place
        How much the slice had led to before.
    met
        Of the record at whose place they met: the later one of event and label.
    block
        In which block of events it is; None where that one has been published, or is unknown.
    settled
        Of the blocks before this one, nothing waits any more.
    """

    vector: FeatureVector
    predicted: dict[str, Predicted]
    label: LabelValue | None
    label_time_ms: int | None
    source: str | None
    origin: Origin
    place: int
    met: Origin
    block: int | None = None
    settled: int = 0


class JoinedColumns:
    """The labelled events of a slice, in order of their labels, as columns.

    Parameters
    ----------
    task
        What is predicted.
    joined
        Each with a label, and with all that was predicted.
    names
        The candidates and baselines. Others that have predicted follow: challengers, and candidates
        that have been removed since.
    loss
        By which candidates are compared; None for the task's own.
    """

    def __init__(
        self,
        task: Task,
        joined: Iterable[Joined],
        names: Iterable[str],
        loss: ComparisonLoss | None = None,
    ) -> None:
        self.joined: Sequence[Joined] = [each for each in joined if each.label is not None]
        self._task = task
        self._names = names
        self._loss = loss

    def __len__(self) -> int:
        return len(self.joined)

    @cached_property
    def labels(self) -> list[LabelValue]:
        """Their labels."""
        return [each.label for each in self.joined if each.label is not None]

    @cached_property
    def predicted(self) -> Mapping[str, PredictedColumn]:
        """Candidate to what it predicted."""
        predicted = [each.predicted for each in self.joined]
        names = dict.fromkeys(self._names)
        names |= dict.fromkeys(sorted({*chain.from_iterable(predicted)} - names.keys()))
        return {name: _column([each.get(name, _NOTHING) for each in predicted]) for name in names}

    @cached_property
    def losses(self) -> Mapping[str, Sequence[float | None]]:
        """Candidate to its losses: None where it has none."""
        return {
            name: loss_column(self._task, self.labels, column.values)
            for name, column in self.predicted.items()
        }

    @property
    def comparison(self) -> Mapping[str, Sequence[float | None]]:
        """Candidate to the losses by which it is compared: None where it has none.

        At an event for which there is a failure, no candidate has one: a function that fails for
        one of them favours neither it nor any other.
        """
        return self._compared[0]

    @property
    def comparison_failures(self) -> Sequence[tuple[int, BaseException]]:
        """Events for which the user's loss raised, and what it raised first."""
        return self._compared[1]

    @cached_property
    def _compared(
        self,
    ) -> tuple[Mapping[str, Sequence[float | None]], Sequence[tuple[int, BaseException]]]:
        loss = self._loss
        if loss is None or loss.is_own:
            return self.losses, ()
        failures: dict[int, BaseException] = {}
        columns = {
            name: loss.column(self.labels, *column, failures)
            for name, column in self.predicted.items()
        }
        for place in failures:
            for each in columns.values():
                each[place] = None
        return columns, sorted(failures.items())


def _column(answers: Sequence[Predicted]) -> PredictedColumn:
    return PredictedColumn([*map(_VALUE, answers)], [*map(_PROBABILITIES, answers)])


class Training(Protocol):
    """Takes what is joined: learning itself, or the examples for it."""

    def train(self, joined: Joined) -> list[Record]:
        """Take an event whose place to be learned has come; return what it leads to at once."""
        ...

    def take_failure(self) -> bool:
        """Return whether the champion alone could not learn, since this was asked last."""
        ...

    def account(
        self, joined: Sequence[Joined], columns: JoinedColumns, metrics: MetricsByCount
    ) -> list[tuple[int, Record]]:
        """Account for a slice; return what it leads to, each with its place.

        Parameters
        ----------
        joined
            All that was taken since the last call.
        columns
            Those among it that have labels.
        metrics
            Number of labels to the metrics after so many of them: to be filled in, if training
            keeps them.
        """
        ...
