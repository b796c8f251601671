"""Saved models of earlier releases, brought up to date as they are loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypedDict, cast

from millrace.models.candidates.baselines import baselines
from millrace.models.candidates.candidate import Candidate
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

    def as_challenger(self, incumbent: str, version: int) -> Challenger:
        """Return the challenger that it stands for: it has learned as much; it is compared anew."""
        trial = Trial(self._trial, learned=self._learned)
        candidate = Candidate(self.model, self._task)
        return Challenger(incumbent, version - self._learned, candidate, trial)


class _Models01(TypedDict):
    """What release 0.1 saved of a `ModelSet`."""

    task: Task
    champion: str
    models: dict[str, Model]
    asks_probabilities: bool
    version: int
    replacements: dict[str, Replacement]
    failures: Counter[str]


def upgraded(state: Mapping[str, object]) -> Mapping[str, object]:
    """Return the attributes of a saved `ModelSet` as this release has them."""
    if "replacements" in state:
        state = _upgraded_01(cast(_Models01, state))
    return state if "baselines" in state else _with_baselines(state)


def _upgraded_01(state: _Models01) -> dict[str, object]:
    task, champion, version = state["task"], state["champion"], state["version"]
    return {
        "task": task,
        "champion": champion,
        "candidates": {
            name: Candidate(model, task, state["asks_probabilities"] or name == champion)
            for name, model in state["models"].items()
        },
        "challengers": {
            name: each.as_challenger(name, version) for name, each in state["replacements"].items()
        },
        "version": version,
        "failures": state["failures"],
        "_unlearned": {},
    }


def _with_baselines(state: Mapping[str, object]) -> dict[str, object]:
    """Return the baselines apart from the candidates, among which they were once."""
    candidates = cast(Mapping[str, Candidate], state["candidates"])
    names = [*baselines(cast(Task, state["task"]))]
    return {
        **state,
        "candidates": {name: each for name, each in candidates.items() if name not in names},
        "baselines": {name: candidates[name].model for name in names},
        "_measures_probabilities": candidates[names[-1]].gives_probabilities,
        "_pending": [],
    }
