"""Whether a promotion fits the rest of a definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.models.parameters import one_of, require
from millrace.models.pipeline.comparison_losses import comparison_loss
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.promotion import Promotion
from millrace.schemas import DefinitionError

if TYPE_CHECKING:
    from millrace.models.pipeline.definition import Pipeline


def check_promotion(pipeline: Pipeline) -> None:
    """Refuse a promotion that does not fit a pipeline whose other parameters have been checked.

    Raises
    ------
    DefinitionError
        Naming the parameter.
    """
    promotion, task = pipeline.promotion, Task(pipeline.task)
    if promotion is None:
        return
    require(
        isinstance(promotion, Promotion), "promotion must be Promotion(...), or None", promotion
    )
    comparison_loss(promotion.metric, task, pipeline.allowed_labels)
    if promotion.wait is not None:
        longest = "pending.ttl" if pipeline.label_default is None else "label_default.after"
        must = f"promotion.wait must be at most {longest}, {pipeline.longest_wait}"
        require(promotion.wait <= pipeline.longest_wait, must, promotion.wait)
    if promotion.group is not None:
        known = [name for each in pipeline.features for name in each.names]
        known += [pipeline.key] if isinstance(pipeline.key, str) else []
        one_of("promotion.group must be a feature, or the key", promotion.group, known)
    if promotion.is_off:
        return
    if pipeline.learns_without_labels:
        raise DefinitionError(
            "promotion.policy must be 'off' where models learn without labels: nothing says which"
            " of them is better"
        )
    if task is Task.ANOMALY and not callable(promotion.metric):
        raise DefinitionError(
            "promotion.policy must be 'off' with the task anomaly, unless promotion.metric is a"
            " function: how far a score is from the label says little about a ranking"
        )
