"""The reasons of the champion's predictions, as `predictions` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from millrace.models.candidates.candidate import Candidate
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.reasons.explainer import Explainer, explainer
from millrace.models.reasons.reasons import NoReasons, Reasons
from millrace.models.reasons.shares import ShareChange
from millrace.schemas.records import Features, Predicted, PublishedReasons, ReasonChange

Tell: TypeAlias = Callable[[Features, Predicted], PublishedReasons]
"""Takes what a model saw and what it predicted, before it learns anything else."""

_MOST_KNOWN = 1_000  # models, of a million keys


class Explaining:
    """Tells the reasons of predictions, before the model learns anything else.

    Parameters
    ----------
    pipeline
        The definition: how many reasons there are to be.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._count = pipeline.reasons
        self._task = Task(pipeline.task)
        self._known: dict[int, tuple[Model, Explainer | NoReasons]] = {}

    def explain(
        self, candidate: Candidate, features: Features, predicted: Predicted
    ) -> Reasons | NoReasons:
        """Return what a prediction of a candidate is made of, or why that cannot be said."""
        asked = self._explainer(candidate.model)
        if isinstance(asked, NoReasons):
            return asked
        return asked.explain(_seen(candidate.sees, features), predicted)

    def teller(self, candidate: Candidate) -> Tell:
        """Return what tells what a prediction of a candidate is made of, or why that cannot be.

        It holds until the candidate has another model.
        """
        asked, count, sees = self._explainer(candidate.model), self._count, candidate.sees
        if isinstance(asked, NoReasons):
            return lambda _features, _predicted: _none(asked)
        explain, scale = asked.explain, asked.scale.value

        def tell(features: Features, predicted: Predicted) -> PublishedReasons:
            found = explain(features if sees is None else _seen(sees, features), predicted)
            if isinstance(found, NoReasons):
                return _none(found)
            largest, rest = found.parted(count)
            _, base, _, of, against = found
            return {
                "scale": scale,
                "base": base,
                "of": of,
                "against": against,
                "contributions": largest,
                "rest": rest,
                "why_none": "",
            }

        return tell

    def _explainer(self, model: Model) -> Explainer | NoReasons:
        known = self._known.get(id(model))
        if known is None or known[0] is not model:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[id(model)] = model, explainer(model, self._task)
        return known[1]


def published(changes: Iterable[ShareChange]) -> list[ReasonChange]:
    """Return changes of shares as `alerts` have them."""
    return [
        {
            "feature": each.name,
            "before": each.before,
            "after": each.after,
            "right_before": each.right_before,
            "right_after": each.right_after,
        }
        for each in changes
    ]


def _seen(sees: Sequence[str] | None, features: Features) -> Features:
    """Return the features that a candidate sees."""
    return features if sees is None else {name: features[name] for name in sees if name in features}


def _none(found: NoReasons) -> PublishedReasons:
    return {
        "scale": "",
        "base": 0.0,
        "of": None,
        "against": None,
        "contributions": {},
        "rest": 0.0,
        "why_none": str(found),
    }
