"""Saved models of earlier releases, brought up to date as they are loaded."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.models.candidates.challenger import Challenger
from millrace.models.pipeline.model import Model
from millrace.models.pipeline.tasks import Task
from millrace.models.selection.trial import Trial


class Replacement:
    """What release 0.1 saved of a challenger."""

    model: Model
    _task: Task
    _trial: int
    _learned: int
    _advantage: float

    def as_challenger(self, incumbent: str) -> Challenger:
        """Return the challenger that it stands for, at the same place of its trial."""
        trial = Trial(self._trial, self._learned, self._advantage)
        return Challenger(incumbent, self.model, self._task, trial)


def upgraded(state: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes of a saved `ModelSet` as this release has them."""
    upgraded = {**state}
    replacements = upgraded.pop("replacements", None)
    if isinstance(replacements, dict):
        upgraded["challengers"] = {
            name: each.as_challenger(name) for name, each in replacements.items()
        }
    return upgraded
