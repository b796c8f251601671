"""What is aimed for, as ratios of one round: the same on a slow machine as on a fast one."""

from __future__ import annotations

from typing import NamedTuple

from bench.contestants import BARE
from bench.results import good, ratios
from bench.session import Result

_LOGISTIC, _TREE, _FOREST = "logistic_regression", "hoeffding_tree", "adaptive_random_forest"


class Target(NamedTuple):
    """Events/s of `above` divided by those of `below` in the same round, at least `least`.

    Against the bare loop and where the two took different numbers of events, both are held
    against the bare loop over their own.
    """

    above: str
    below: str
    model: str
    least: float

    @property
    def name(self) -> str:
        return f"{self.above} / {self.below}, {self.model}"

    def measured(self, runs: list[Result]) -> list[float]:
        """Return the ratio of every round in which both were measured."""
        above, below = {"contestant": self.above}, {"contestant": self.below}
        if self.below == BARE:
            return [run["ratio_to_bare"] for run in good(runs, model=self.model, **above)]
        return ratios(runs, above, below, "ratio_to_bare", model=self.model)


TARGETS = (
    Target("full", BARE, _TREE, 0.65),
    Target("full", BARE, _LOGISTIC, 0.50),
    Target("full", BARE, _FOREST, 0.95),
    Target("default", "faust", _LOGISTIC, 25),
    Target("full", "bytewax", _TREE, 1.1),
    Target("full", "bytewax", _LOGISTIC, 1.0),
    Target("full", "quix", _TREE, 2),
    Target("full", "quix", _LOGISTIC, 2),
)
