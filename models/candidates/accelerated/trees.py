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

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import exp, inf, isnan, log, tau
from numbers import Number
from random import Random
from sys import getsizeof
from typing import TypeAlias

from river import forest, tree
from river.base.typing import ClfTarget, FeatureName
from river.forest.adaptive_random_forest import BaseTreeClassifier
from river.proba import Gaussian
from river.stats import Var
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
_RANDOM = Random(0)  # noqa: S311 - only its size is needed
_RANDOM_BYTES = getsizeof(_RANDOM) + getsizeof(vars(_RANDOM))


class _Gaussian(Gaussian):
    """A Gaussian without random numbers, which trees never draw: 25 times smaller."""

    def __init__(self) -> None:
        self.seed = None
        self._var = Var()

    def __sizeof__(self) -> int:
        """Return the size of River's, after which trees stop growing."""
        return super().__sizeof__() + _RANDOM_BYTES


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
        self,
        x: Instance,
        y: ClfTarget,
        w: float,
        nominal_attributes: Collection[FeatureName] | None,
    ) -> None:
        splitters = self.splitters
        for name, value in self._iter_features(x):
            splitter = splitters.get(name)
            if splitter is None:
                if name in self._disabled_attrs:
                    continue
                is_nominal = nominal_attributes is not None and name in nominal_attributes
                splitters[name] = splitter = self._new_splitter(value, is_nominal)
            if type(splitter) is GaussianSplitter:
                _update(splitter, value, y, w)
            else:
                splitter.update(value, y, w)

    def _new_splitter(self, value: object, is_nominal: bool) -> Splitter:
        if is_nominal or not isinstance(value, Number):
            return self.new_nominal_splitter()
        if type(self.splitter) is GaussianSplitter:  # whose `clone` takes 20 us
            return GaussianSplitter(self.splitter.n_splits)
        return self.splitter.clone()

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
    """Update the estimator of a label (Welford, as in River)."""
    least, most = splitter._min_per_class, splitter._max_per_class
    gaussian = splitter._att_dist_per_class.get(label)
    if gaussian is None:
        splitter._att_dist_per_class[label] = gaussian = _Gaussian()
        least[label] = most[label] = value
    elif value < least[label]:
        least[label] = value
    elif value > most[label]:
        most[label] = value
    variance = gaussian._var
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
