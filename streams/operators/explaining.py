"""The reasons of the champion's predictions, as `predictions` has them."""

from __future__ import annotations

from millrace.models.candidates.candidate import Candidate
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.reasons.explainer import Explainer, explainer
from millrace.models.reasons.reasons import NoReasons, Reasons
from millrace.schemas.records import Features, Predicted, PublishedReasons

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
    ) -> PublishedReasons:
        """Return what a prediction of a candidate is made of, or why that cannot be said."""
        asked = self._explainer(candidate.model)
        if isinstance(asked, NoReasons):
            return _none(asked)
        if candidate.sees is not None:
            features = {name: features[name] for name in candidate.sees if name in features}
        found = asked.explain(features, predicted)
        return _none(found) if isinstance(found, NoReasons) else self._published(found)

    def _explainer(self, model: Model) -> Explainer | NoReasons:
        known = self._known.get(id(model))
        if known is None or known[0] is not model:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[id(model)] = model, explainer(model, self._task)
        return known[1]

    def _published(self, found: Reasons) -> PublishedReasons:
        return {
            "scale": found.scale.value,
            "base": found.base,
            "of": found.of,
            "against": found.against,
            "contributions": dict(found.top(self._count)),
            "rest": found.rest(self._count),
            "why_none": "",
        }


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
