"""What a prediction is made of: a base, and what each feature adds to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import exp, fsum, isfinite
from typing import NamedTuple, TypeAlias

from millrace.schemas.records import LabelValue, Predicted

LEAF_MODEL = "(leaf model)"
"""What the model in a tree's leaf adds to what the path to the leaf says."""

ALTERNATE_TREE = "(alternate tree)"
"""What a branch adds that an adaptive tree grows, and may soon use instead of the present one."""

LIMITS = "(limits)"
"""What is added where a prediction is brought back between the least and the largest allowed."""

NOT_FEATURES = frozenset({LEAF_MODEL, ALTERNATE_TREE, LIMITS})
"""Names of contributions that belong to no feature."""

Contribution: TypeAlias = tuple[str, float]
"""A feature, or one of the names in brackets, and what it adds."""

_TOLERANCE = 1e-9
_LARGEST_LOGIT = 30.0  # beyond it, River's probability is 0 or 1


class Scale(StrEnum):
    """The scale on which base and contributions add up to a prediction."""

    TARGET = "target"
    """The number that is predicted, in its own unit."""

    LOG_ODDS = "log_odds"
    """ln(p / q): p is the probability of the class `of`, q that of `against`."""

    PROBABILITY = "probability"
    """The probability of the class `of`, from 0 to 1."""


class Reasons(NamedTuple):
    """What a prediction is made of.

    Attributes
    ----------
    scale
        The scale of all numbers here.
    base
        What is predicted where no feature adds anything.
    contributions
        Feature, by the name that its user gave it, to what it adds. Names in brackets are of
        what belongs to no feature.
    of
        The class that the scale is about; None where a number is predicted.
    against
        With log-odds, the class that it is compared with; None for all the others.

    Examples
    --------
    >>> found = Reasons(Scale.TARGET, 10.0, {"size": -4.0, "age": 0.5, "rooms": 2.5, "zone": 0.0})
    >>> found.total, found.top(2), found.rest(2)
    (9.0, [('size', -4.0), ('rooms', 2.5)], 0.5)
    """

    scale: Scale
    base: float
    contributions: dict[str, float]
    of: LabelValue | None = None
    against: LabelValue | None = None

    @property
    def total(self) -> float:
        """What base and contributions add up to."""
        return self.base + sum(self.contributions.values())

    def top(self, k: int) -> list[Contribution]:
        """Return the `k` largest contributions by size, the largest first, without zeros."""
        return [*self.parted(k)[0].items()]

    def rest(self, k: int) -> float:
        """Return what all other contributions than the `k` largest add together."""
        return self.parted(k)[1]

    def parted(self, k: int) -> tuple[dict[str, float], float]:
        """Return the `k` largest contributions, as `top` does, and what all others add."""
        size_of = self.contributions.__getitem__
        names = sorted(self.contributions, key=size_of)
        found: dict[str, float] = {}
        first, last = 0, len(names) - 1
        while first <= last and len(found) < k:  # the largest is at one of the ends
            least, most = size_of(names[first]), size_of(names[last])
            if -least > most:
                found[names[first]] = least
                first += 1
            elif most:
                found[names[last]] = most
                last -= 1
            else:
                break
        return found, fsum(map(size_of, names[first : last + 1]))

    def renamed(self, origins: Mapping[str, str] | None) -> Reasons:
        """Return the same by other names; contributions of the same name are added."""
        if origins is None:
            return self
        found: dict[str, float] = {}
        for name, each in self.contributions.items():
            own = origins.get(name) or _renamed(name, origins)
            found[own] = found.get(own, 0.0) + each
        return self._replace(contributions=found)

    def scaled(self, factor: float, shift: float = 0.0) -> Reasons:
        """Return the same with all numbers multiplied, and the base moved after that."""
        contributions = {name: each * factor for name, each in self.contributions.items()}
        return self._replace(base=self.base * factor + shift, contributions=contributions)

    def adds_up_to(self, predicted: Predicted) -> bool:
        """Whether base and contributions add up to a prediction, on their scale.

        What is compared is the number, or the probability; without probabilities, the class. The
        difference may be a billionth of what is added up. What one class has against all others
        is not told by a prediction; it only has to be finite.
        """
        return _CHECKS[self.scale](self, predicted)


class NoReasons(NamedTuple):
    """The answer where there are no exact reasons.

    Attributes
    ----------
    why
        What it is that does not add up over features.

    Examples
    --------
    >>> print(NoReasons("KNNClassifier is not known to add up over features"))
    no exact reasons for this model: KNNClassifier is not known to add up over features
    """

    why: str

    def __str__(self) -> str:
        """Return the sentence that a user reads."""
        return f"no exact reasons for this model: {self.why}"


class NoExactReasonsError(Exception):
    """Raised inside this package only, with the reason why there are none."""


class Change(NamedTuple):
    """What a feature adds before something changed, and after it."""

    name: str
    before: float
    after: float


def changes(before: Reasons, after: Reasons, k: int) -> list[Change]:
    """Return the `k` contributions that differ most between two answers, the largest first.

    They tell what changed at a drift: the same event, or its mean, as seen by the model before and
    by the model after it.

    Raises
    ------
    ValueError
        The answers are on two scales, or about two classes.

    Examples
    --------
    >>> before = Reasons(Scale.TARGET, 10.0, {"size": 4.0, "age": 1.0})
    >>> after = Reasons(Scale.TARGET, 12.0, {"size": -1.0, "age": 1.5, "zone": 0.5})
    >>> changes(before, after, 2)
    [Change(name='size', before=4.0, after=-1.0), Change(name='age', before=1.0, after=1.5)]
    """
    if (before.scale, before.of, before.against) != (after.scale, after.of, after.against):
        raise ValueError("reasons must be on one scale and about one class to be compared")
    names = dict.fromkeys([*before.contributions, *after.contributions])
    found = [
        Change(name, before.contributions.get(name, 0.0), after.contributions.get(name, 0.0))
        for name in names
    ]
    found.sort(key=lambda each: -abs(each.after - each.before))
    return [each for each in found[:k] if each.after != each.before]


def in_leaf(feature: str) -> str:
    """Return the name of what a feature adds by the model in a leaf, beside its splits."""
    return f"{feature} {LEAF_MODEL}"


def weighted_sum(members: Iterable[tuple[float, Reasons]]) -> tuple[float, dict[str, float]]:
    """Return base and contributions of a sum of answers, each multiplied by its weight.

    Examples
    --------
    >>> one = Reasons(Scale.TARGET, 10.0, {"size": 4.0})
    >>> other = Reasons(Scale.TARGET, 20.0, {"age": 2.0})
    >>> weighted_sum([(0.5, one), (0.5, other)])
    (15.0, {'size': 2.0, 'age': 1.0})
    """
    base, contributions = 0.0, dict[str, float]()
    for weight, reasons in members:
        base += weight * reasons.base
        for name, each in reasons.contributions.items():
            contributions[name] = contributions.get(name, 0.0) + weight * each
    return base, contributions


def _renamed(name: str, origins: Mapping[str, str]) -> str:
    feature = name.removesuffix(f" {LEAF_MODEL}")
    return name if feature == name else in_leaf(origins.get(feature, feature))


def _is_number(reasons: Reasons, predicted: Predicted) -> bool:
    value = predicted["value"]
    parts = reasons.contributions.values()
    size = 1.0 + abs(reasons.base) + sum(map(abs, parts))
    return isinstance(value, int | float) and abs(reasons.total - value) <= _TOLERANCE * size


def _is_probability(reasons: Reasons, predicted: Predicted) -> bool:
    probabilities, total = predicted["probabilities"], reasons.total
    if not probabilities:
        return -_TOLERANCE <= total <= 1.0 + _TOLERANCE
    size = 1.0 + abs(reasons.base) + sum(map(abs, reasons.contributions.values()))
    given = probabilities.get(str(reasons.of), 0.0)
    return abs(total - given) <= _TOLERANCE * size


def _is_log_odds(reasons: Reasons, predicted: Predicted) -> bool:
    total, of, against = reasons.total, reasons.of, reasons.against
    if against is None:
        return isfinite(total)
    probabilities = predicted["probabilities"]
    if not probabilities:
        is_of = total > 0.0
        return isfinite(total) and (is_of == (predicted["value"] == of) or abs(total) < _TOLERANCE)
    p = probabilities.get("True" if of is True else str(of), 0.0)
    q = probabilities.get("False" if against is False else str(against), 0.0)
    if -_LARGEST_LOGIT <= total <= _LARGEST_LOGIT:
        return abs(p - (p + q) / (1.0 + exp(-total))) <= _TOLERANCE
    return (q if total > 0.0 else p) <= _TOLERANCE and isfinite(total)


_CHECKS = {
    Scale.TARGET: _is_number,
    Scale.PROBABILITY: _is_probability,
    Scale.LOG_ODDS: _is_log_odds,
}
