"""Models go on under another definition: what is unchanged stays, what is new begins.

A candidate is compared by what really made it. It is kept where that is the same; where it is not,
its definition says what happens (`on_change`). Candidates see the features that they began with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from millrace.models.candidates.candidate import Candidate
from millrace.models.candidates.challenger import Challenger
from millrace.models.candidates.incumbents import of_deploy
from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.fate import Fate
from millrace.models.pipeline.on_change import MadeBy, is_same_model

Names: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Heir:
    """A definition under which models go on.

    Parameters
    ----------
    pipeline
        The definition.
    made_by
        Name of a candidate to what this definition makes it by.
    since
        Name of a candidate to the number of the deploy that changed it last.
    replaced
        What candidates were made by that have replaced the old ones since the models were used.
    adopted
        What those were made by that have adopted what the old ones had learned, and the features
        that they see of those of now; None for all of them.
    """

    pipeline: Pipeline
    made_by: Mapping[str, MadeBy]
    since: Mapping[str, int]
    replaced: Mapping[str, MadeBy]
    adopted: Mapping[str, tuple[MadeBy, Names | None]]

    def take_over(
        self,
        models: ModelSet,
        made_by: Mapping[str, MadeBy],
        names: Sequence[Names],
        begun: Collection[str],
    ) -> dict[str, Fate]:
        """Let models go on; return what becomes of each candidate.

        Parameters
        ----------
        models
            To be changed.
        made_by
            What the definition made its candidates by that the models are of.
        names
            The features of that definition, and of each since then; the last are those of now.
        begun
            Candidates that begin untrained, whatever they were.
        """
        made_by = models.made_by or made_by
        fates = dict.fromkeys(models.candidates, Fate.RETIRED)
        candidates, challengers = models.candidates, models.challengers
        models.candidates, models.challengers = {}, {}
        for name in self.pipeline.models:
            challenger = challengers.get(name)
            if challenger is not None and self._is_same(name, challenger.candidate, made_by):
                models.challengers[name] = challenger
                challenger.candidate.go_on(None, seen(challenger.candidate.sees, names))
                challenger.go_on(self.pipeline)
            old = None if name in begun else candidates.get(name)
            if old is None:
                models.candidates[name] = self._fresh(models, name)
                fates[name] = Fate.BEGINS
            else:
                fates[name] = self._go_on(models, name, old, made_by, names)
        models.made_by = self.made_by
        models.forget(fates.keys() - models.candidates.keys())
        return fates

    def _go_on(
        self,
        models: ModelSet,
        name: str,
        old: Candidate,
        made_by: Mapping[str, MadeBy],
        names: Sequence[Names],
    ) -> Fate:
        """Let a candidate go on, or another one in its place; return which."""
        was, sees = old.made_by or made_by[name], seen(old.sees, names)
        if name in self.replaced and not is_same_model(was, self.replaced[name]):
            return self._replace(models, name)
        if name in self.adopted:
            was, sees = self.adopted[name]
            models.challengers.pop(name, None)
        models.candidates[name] = old
        if is_same_model(was, self.made_by[name]):
            old.go_on(None, sees)
            return Fate.ADOPTS if name in self.adopted else Fate.GOES_ON
        old.go_on(was, sees)
        if name in models.challengers:  # it competes already
            return Fate.GOES_ON
        if name not in self.since:  # a release before has not noted what replaces
            return self._replace(models, name)
        since = of_deploy(self.since[name])
        models.challengers[name] = Challenger.of(
            name, since, self._fresh(models, name), self.pipeline
        )
        return Fate.CHALLENGES

    def _replace(self, models: ModelSet, name: str) -> Fate:
        models.candidates[name] = self._fresh(models, name)
        models.challengers.pop(name, None)
        return Fate.REPLACES

    def _is_same(self, name: str, candidate: Candidate, made_by: Mapping[str, MadeBy]) -> bool:
        return is_same_model(candidate.made_by or made_by[name], self.made_by[name])

    def _fresh(self, models: ModelSet, name: str) -> Candidate:
        return Candidate(self.pipeline.fresh_model(name), models.task)


def seen(sees: Names | None, names: Sequence[Names]) -> Names | None:
    """Return what a candidate sees of the features of now; None for all of them.

    Parameters
    ----------
    sees
        What it saw; None for all that there were.
    names
        The features at that time, and of each definition since; the last are those of now. What
        was gone and has come again is new.

    Examples
    --------
    >>> seen(None, [("a", "b"), ("a", "b", "c")])
    ('a', 'b')
    >>> seen(("a", "b"), [("a", "b", "c"), ("a",)])
    """
    now = names[-1]
    found = tuple(name for name in sees or names[0] if all(name in each for each in names))
    return None if found == now else found
