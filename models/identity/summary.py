"""What a deploy would change, as one value: printed before it is done, and in the audit after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from millrace.models.pipeline.fate import Fate

_MODELS, _FEATURES = "models[", "features["
_SAID = {
    Fate.GOES_ON: "goes on",
    Fate.BEGINS: "begins, untrained, beside the champion",
    Fate.CHALLENGES: "challenges the old {0!r}, which goes on until the new one takes its place",
    Fate.REPLACES: "replaces the old {0!r} at once, untrained",
    Fate.ADOPTS: "goes on with what it has learned, as it is defined now",
    Fate.RETIRED: "is retired",
}


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a deploy would change, and why it cannot be done.

    Its text is the summary: a line for each change, always in the same order.

    Attributes
    ----------
    pipeline
        Name of the pipeline.
    champion
        Name of the candidate that serves.
    kept, added, removed, changed
        Parts that state is kept for, as one would write them: `models['tree']`, `features['age']`,
        `metrics['f1']`, `rolling_window`, `drift.loss`.
    candidates
        Name of each candidate, of now and of before, to what becomes of it.
    settings
        Name of a setting, such as `drift.policy`, to its values before and now.
    notes
        What changes in the schema and in the classes, and what may be unexpected: sentences.
    refused
        Why it cannot be done: each names the field and the way out. Empty where it can.
    """

    pipeline: str
    champion: str
    kept: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    candidates: Mapping[str, Fate]
    settings: Mapping[str, tuple[Any, Any]]
    notes: tuple[str, ...]
    refused: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return next(self._lines(), None) is None and not self.refused

    def to_json(self) -> dict[str, Any]:
        """Return it as data for JSON."""
        given = asdict(self)
        listed = {name: list(each) for name, each in given.items() if isinstance(each, tuple)}
        settings = {
            name: {"before": before, "now": now} for name, (before, now) in self.settings.items()
        }
        candidates = {name: str(fate) for name, fate in self.candidates.items()}
        return given | listed | {"settings": settings, "candidates": candidates}

    def __str__(self) -> str:
        if self.is_empty:
            return f"{self.pipeline}: nothing changes"
        going_on = [n for n, fate in self.candidates.items() if fate is Fate.GOES_ON]
        others = len(_but(_MODELS, self.kept))
        lines = [
            f"{self.pipeline}: what changes",
            *(f"models[{name!r}]{self._role(name)} goes on" for name in going_on),
            *self._lines(),
            *([f"the other {others} parts go on"] if others > 0 else []),
            *(f"refused: {reason}" for reason in self.refused),
        ]
        return "\n  ".join(lines)

    def _lines(self) -> Iterator[str]:
        """Yield a line for each change."""
        for name, fate in self.candidates.items():
            if fate is not Fate.GOES_ON:
                yield f"models[{name!r}]{self._role(name)} {_SAID[fate].format(name)}"
        # What becomes of models is said above, and features that have changed are refused.
        yield from (f"{each} begins" for each in _but(_MODELS, self.added))
        yield from (f"{each} begins anew" for each in _but((_MODELS, _FEATURES), self.changed))
        yield from (f"{each} ends" for each in _but(_MODELS, self.removed))
        for name, (before, now) in self.settings.items():
            yield f"{name} is {now!r}; it was {before!r}"
        yield from self.notes

    def _role(self, name: str) -> str:
        return ", the champion," if name == self.champion else ""


def _but(kinds: str | tuple[str, ...], parts: Iterable[str]) -> list[str]:
    return [each for each in parts if not each.startswith(kinds)]
