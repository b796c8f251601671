"""River's metrics of numbers, updated with columns of labels and predictions.

Each has the state that River's own `update` gives, one prediction after the other, to the last
digit, at a fraction of the cost. Probabilities are those of true. Metrics of classes share a
confusion matrix instead; see `Scores`. To add a metric, add it to `_UPDATES`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import log

from river import metrics
from river.metrics.base import Metric

from millrace.models.candidates.running_mean import means
from millrace.schemas.records import LabelValue

_NUMBERS = frozenset({float, int, bool})
_FEWEST = 8  # values for which a column is faster
_LEAST = 1e-15  # probability, whose logarithm is taken


def update_column(
    metric: Metric, labels: Sequence[LabelValue], values: Sequence[LabelValue | None]
) -> bool:
    """Update a metric, if it is one of those that can be updated with columns of numbers.

    Returns
    -------
    bool
        Whether it has been updated.

    Examples
    --------
    >>> mae = metrics.MAE()
    >>> update_column(mae, [1.0, 2.0] * 10, [1.5, 2.0] * 10), mae.get()
    (True, 0.25)
    """
    if len(values) < _FEWEST:
        return False
    update = _UPDATES.get(type(metric))
    if update is None or not _NUMBERS.issuperset(map(type, values)):
        return False
    update(metric, labels, values)
    return True


def _update_mae(metric: metrics.MAE, labels: Sequence[float], values: Sequence[float]) -> None:
    errors = [abs(label - value) for label, value in zip(labels, values, strict=True)]
    means(metric._mean, errors)


def _update_mse(metric: metrics.MSE, labels: Sequence[float], values: Sequence[float]) -> None:
    means(metric._mean, [(label - value) ** 2 for label, value in zip(labels, values, strict=True)])


def _update_r2(metric: metrics.R2, labels: Sequence[float], values: Sequence[float]) -> None:
    variance = metric._y_var
    squares: float = metric._residual_sum_of_squares
    of_labels = means(variance.mean, labels)
    for label, before, after in zip(labels, of_labels, of_labels[1:], strict=False):
        variance._S += (label - before) * (label - after)
    for label, value in zip(labels, values, strict=True):
        squares += (label - value) * (label - value)
    metric._residual_sum_of_squares = squares  # type: ignore[assignment]  # River's begins with 0


def _update_log_loss(
    metric: metrics.LogLoss, labels: Sequence[bool], scores: Sequence[float]
) -> None:
    limited = [max(min(score, 1 - _LEAST), _LEAST) for score in scores]
    pairs = zip(labels, limited, strict=True)
    means(metric._mean, [-log(score if label else 1 - score) for label, score in pairs])


def _update_roc_auc(
    metric: metrics.ROCAUC, labels: Sequence[bool], scores: Sequence[float]
) -> None:
    """Count labels and scores by the number of thresholds that a score is above."""
    thresholds, positive = metric.thresholds, metric.pos_val
    above = [bisect_left(thresholds, score) for score in scores]
    are_positive = [label == positive for label in labels]
    for (is_positive, passed), count in Counter(zip(are_positive, above, strict=True)).items():
        for place, matrix in enumerate(metric.cms):
            matrix.update(is_positive, place < passed, float(count))  # type: ignore[no-untyped-call]  # River's
            matrix.n_samples += count - 1


_UPDATES: Mapping[type[Metric], Callable[..., None]] = {
    metrics.MAE: _update_mae,
    metrics.MSE: _update_mse,
    metrics.RMSE: _update_mse,
    metrics.R2: _update_r2,
    metrics.LogLoss: _update_log_loss,
    metrics.ROCAUC: _update_roc_auc,
}
