"""What features add to the champion's predictions as these are tested: what changed at a drift.

State: by scope key, the sums of the newest contributions.
"""

from __future__ import annotations

from collections.abc import Mapping

from millrace.models.candidates.candidate import NoteTest
from millrace.models.candidates.model_set import ModelSet
from millrace.models.pipeline.definition import Pipeline
from millrace.models.reasons.reasons import Reasons
from millrace.models.reasons.shares import ReasonShares, sign_of_right
from millrace.schemas.records import Features, LabelValue, Predicted, ReasonChange
from millrace.streams.operators.explaining import Explaining, published
from millrace.streams.operators.keyed_state import KeyedState

_EXPLAIN_EACH = 2  # examples


class SummedReasons:
    """Adds up the reasons of predictions that are tested, where a pipeline asks for reasons.

    Parameters
    ----------
    pipeline
        The definition.

    Attributes
    ----------
    store
        The state.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._count = pipeline.reasons
        self._explaining = Explaining(pipeline) if pipeline.reasons else None
        self.store: KeyedState[ReasonShares] = KeyedState(pipeline.max_models)
        self._used: dict[str, ReasonShares] = {}  # in a slice

    def inherit(self, before: SummedReasons) -> None:
        """Go on with what another one has added up."""
        limit, self.store = self.store.limit, before.store
        self.store.limit = limit

    def noting(self, scope_key: str, models: ModelSet) -> NoteTest | None:
        """Return what notes the champion's reasons at the examples that models learn next."""
        explaining, version = self._explaining, models.version
        if explaining is None:
            return None
        champion = models.champion
        candidate, explain = models.candidates[champion], explaining.explain
        shares = self._used[scope_key] = self.store.changing(scope_key, ReasonShares)

        def note(
            features: Features, tested: Mapping[str, Predicted], label: LabelValue | None
        ) -> None:
            nonlocal version
            answer = tested.get(champion)
            if version % _EXPLAIN_EACH == 0 and answer is not None and answer["value"] is not None:
                found = explain(candidate, features, answer)
                if isinstance(found, Reasons):
                    sign = sign_of_right(found, label)
                    shares.add(version, champion, found.contributions, sign)
            version += 1

        return note

    def changes(self, candidate: str, scope_key: str, version: int) -> list[ReasonChange]:
        """Return whose share in the reasons of a candidate has changed most, at a version."""
        shares = self.store.get(scope_key)
        if self._explaining is None or shares is None:
            return []
        return published(shares.changes(version, candidate, self._count))

    def settle(self) -> None:
        """Forget what no later alert tells of: a slice has ended."""
        used, self._used = self._used, {}
        for shares in used.values():
            shares.forget()
