"""River's Hoeffding trees, without doing the same work twice.

A pipeline predicts every event and then learns from it, and River's trees do most of that work
twice: they search the leaf of the event twice, and a leaf that chooses between the majority class
and naive Bayes (River's default; Gama, Rocha and Medas 2003) computes the prediction of naive Bayes
to predict, and once more to learn, to see which of the two was right. In a forest, each tree does
it three times. The trees here keep the last answer until they learn, and compute naive Bayes in one
function. Predictions and state equal River's, to the last digit; rare cases, such as a split or
a missing feature, are left to River.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, inf, isnan, log, tau
from random import Random
from typing import TypeAlias

from river import forest, tree
from river.base.typing import ClfTarget, FeatureName
from river.forest.adaptive_random_forest import BaseTreeClassifier
from river.proba import Gaussian
from river.tree.nodes.arf_htc_nodes import RandomLeafNaiveBayesAdaptive
from river.tree.nodes.branch import DTBranch
from river.tree.nodes.hatc_nodes import AdaLeafClassifier
from river.tree.nodes.htc_nodes import LeafNaiveBayesAdaptive
from river.tree.nodes.leaf import HTLeaf
from river.tree.splitter import GaussianSplitter
from river.tree.splitter.base import Splitter
from river.tree.utils import do_naive_bayes_prediction

from millrace.models.candidates.accelerated import Instance
from millrace.models.candidates.ordered import NominalSplitter

Votes: TypeAlias = dict[ClfTarget, float]
"""Class to weight or probability."""

_HALF_LOG_TAU = 0.5 * log(tau)


class _Gaussian(Gaussian):
    """A Gaussian saved without its random numbers, which trees never draw: 25 times smaller."""

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_rng"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _rng=Random(0))  # noqa: S311 - River measures its size


@dataclass(slots=True)
class _Answer:
    """What a tree has computed for an instance since it last learned."""

    x: Instance
    leaf: _Leaf
    naive_bayes: Votes | None = None


class _Leaf(LeafNaiveBayesAdaptive):
    new_nominal_splitter = NominalSplitter

    def prediction(  # type: ignore[override]  # River always passes the tree
        self, x: Instance, *, tree: HoeffdingTreeClassifier
    ) -> Votes:
        if self.is_active() and self._nb_correct_weight >= self._mc_correct_weight:
            return self._naive_bayes(x, tree)
        return self._majority()

    def learn_one(  # type: ignore[override]  # River always passes the tree
        self, x: Instance, y: ClfTarget, *, w: float = 1.0, tree: HoeffdingTreeClassifier
    ) -> None:
        if self.is_active():
            if not self.stats or _likeliest(self._majority()) == y:
                self._mc_correct_weight += w
            votes = self._naive_bayes(x, tree)
            if votes and _likeliest(votes) == y:
                self._nb_correct_weight += w
        tree._answer = None
        super(LeafNaiveBayesAdaptive, self).learn_one(x, y, w=w, tree=tree)

    def update_splitters(
        self, x: Instance, y: ClfTarget, w: float, nominal_attributes: object
    ) -> None:
        others = {}
        for name, value in self._iter_features(x):
            splitter = self.splitters.get(name)
            if type(splitter) is GaussianSplitter and y in splitter._att_dist_per_class:
                _update(splitter, value, y, w)
            else:
                others[name] = value
        if others:
            super().update_splitters(others, y, w, nominal_attributes)
            for name in others.keys() & self.splitters.keys():
                if type(splitter := self.splitters[name]) is GaussianSplitter:
                    splitter._att_dist_per_class[y].__class__ = _Gaussian

    def _iter_features(self, x: Instance) -> Iterable[tuple[FeatureName, float]]:
        return x.items()

    def _majority(self) -> Votes:
        total = sum(self.stats.values())
        scale = 1.0 if total == 0 or isnan(total) else 1 / total
        return {label: weight * scale for label, weight in self.stats.items()}

    def _naive_bayes(self, x: Instance, tree: HoeffdingTreeClassifier) -> Votes:
        answer = tree._answer
        if answer is None or answer.leaf is not self or answer.x != x:
            return _naive_bayes(x, self.stats, self.splitters)
        if answer.naive_bayes is None:
            answer.naive_bayes = _naive_bayes(x, self.stats, self.splitters)
        return answer.naive_bayes


class _RandomLeaf(_Leaf, RandomLeafNaiveBayesAdaptive):
    _iter_features = RandomLeafNaiveBayesAdaptive._iter_features


class _AdaptiveLeaf(AdaLeafClassifier):
    new_nominal_splitter = NominalSplitter


_LEAVES: dict[type, type] = {
    AdaLeafClassifier: _AdaptiveLeaf,
    LeafNaiveBayesAdaptive: _Leaf,
    RandomLeafNaiveBayesAdaptive: _RandomLeaf,
}


class HoeffdingTreeClassifier(tree.HoeffdingTreeClassifier):
    """`river.tree.HoeffdingTreeClassifier`, with the same parameters and the same results.

    Examples
    --------
    >>> from river import datasets
    >>> ours, rivers = HoeffdingTreeClassifier(), tree.HoeffdingTreeClassifier()
    >>> for x, y in datasets.Phishing():
    ...     assert ours.predict_proba_one(x) == rivers.predict_proba_one(x)
    ...     ours.learn_one(x, y)
    ...     rivers.learn_one(x, y)
    """

    _answer: _Answer | None = None

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_answer"}

    def predict_proba_one(self, x: Instance, **_: object) -> Votes:
        leaf = self._leaf_of(x)
        if leaf is None:
            return super().predict_proba_one(x)
        return {**dict.fromkeys(sorted(self.classes), 0.0), **leaf.prediction(x, tree=self)}

    def learn_one(self, x: Instance, y: ClfTarget, *, w: float = 1.0) -> None:
        leaf = self._leaf_of(x)
        seen = self._train_weight_seen_by_model + w
        if leaf is None or self._may_split(leaf, w) or seen % self.memory_estimate_period == 0:
            super().learn_one(x, y, w=w)
        else:
            self.classes.add(y)
            self._train_weight_seen_by_model = seen
            leaf.learn_one(x, y, w=w, tree=self)

    def _leaf_of(self, x: Instance) -> _Leaf | None:
        """Return the leaf of `x`, or None where River's own rules are needed to find it."""
        if self._answer is not None and self._answer.x == x:
            return self._answer.leaf
        node = self._root
        try:
            while isinstance(node, DTBranch):
                node = node.children[node.branch_no(x)]
        except KeyError:  # a missing feature, or text without a branch
            return None
        if not isinstance(node, _Leaf):
            return None
        self._answer = _Answer(x.copy(), node)
        return node

    def _may_split(self, leaf: _Leaf, w: float) -> bool:
        grown = leaf.total_weight + w - leaf.last_split_attempt_at
        return grown > self.grace_period - 1 or leaf.depth >= self.max_depth

    def _new_leaf(self, initial_stats: Votes | None = None, parent: object = None) -> HTLeaf:
        return _with_our_class(super()._new_leaf(initial_stats, parent))


class _ForestTree(HoeffdingTreeClassifier, BaseTreeClassifier):
    pass


class ARFClassifier(forest.ARFClassifier):
    """`river.forest.ARFClassifier`, with the same parameters and the same results."""

    def _new_base_model(self) -> BaseTreeClassifier:
        made: BaseTreeClassifier = super()._new_base_model()
        made.__class__ = _ForestTree
        return made


class HoeffdingAdaptiveTreeClassifier(tree.HoeffdingAdaptiveTreeClassifier):
    """`river.tree.HoeffdingAdaptiveTreeClassifier`, the same in every process; no faster."""

    def _new_leaf(self, initial_stats: Votes | None = None, parent: object = None) -> HTLeaf:
        return _with_our_class(super()._new_leaf(initial_stats, parent))


def _with_our_class(leaf: HTLeaf) -> HTLeaf:
    leaf.__class__ = _LEAVES.get(type(leaf), type(leaf))
    return leaf


def _update(splitter: GaussianSplitter, value: float, label: ClfTarget, weight: float) -> None:
    """Update the estimator of a label that has seen a value before (Welford, as in River)."""
    least, most = splitter._min_per_class, splitter._max_per_class
    if value < least[label]:
        least[label] = value
    elif value > most[label]:
        most[label] = value
    variance = splitter._att_dist_per_class[label]._var
    mean = variance.mean
    before = mean._mean
    mean.n += weight
    mean._mean = after = before + (weight / mean.n) * (value - before)
    variance._S += weight * (value - before) * (value - after)


def _naive_bayes(x: Instance, stats: Votes, splitters: dict[FeatureName, Splitter]) -> Votes:
    """Return the probability of each label, with all sums in River's order.

    Where a feature is not a number, River does it.
    """
    total = sum(stats.values())
    if total == 0:
        return {}
    estimators = []
    for name, splitter in splitters.items():
        if name in x:
            if type(splitter) is not GaussianSplitter:
                return do_naive_bayes_prediction(x, stats, splitters)
            estimators.append((splitter._att_dist_per_class, x[name]))
    logs = {}
    for label, weight in stats.items():
        logs[label] = _log_vote(label, weight / total, estimators) if weight > 0 else 0.0
    most = max(logs.values())
    scale = most + log(sum([exp(each - most) for each in logs.values()]))
    return {label: exp(each - scale) for label, each in logs.items()}


def _log_vote(
    label: ClfTarget, prior: float, estimators: list[tuple[dict[ClfTarget, Gaussian], float]]
) -> float:
    vote = log(prior)
    for by_label, value in estimators:
        gaussian = by_label.get(label)
        if gaussian is not None:
            variance = gaussian._var
            mean = variance.mean
            freedom = mean.n - variance.ddof
            if freedom > 0 and (spread := variance._S / freedom) > 0.0:
                distance = (value - mean._mean) ** 2
                density = distance / (-2.0 * spread) - _HALF_LOG_TAU - 0.5 * log(spread)
                if density > -inf:
                    vote += density
    return vote


def _likeliest(votes: Votes) -> ClfTarget:
    return max(votes, key=votes.__getitem__)
