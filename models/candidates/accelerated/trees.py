"""River's Hoeffding trees, without doing the same work twice.

Predict, then learn, is what a pipeline does with every event, and River's trees do most of it
twice: they look for the leaf of the event twice, and a leaf that chooses between the majority class
and naive Bayes (River's default; Gama, Rocha and Medas 2003) asks naive Bayes for its prediction,
and once more when it is taught the label, to see which of the two would have been right. A forest
asks each of its trees three times. The trees here keep the last answer until they learn, and do the
sums of naive Bayes in one place. What they predict and what they learn is River's, to the last
digit; what is rare, such as a split or a missing feature, is left to River.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, inf, isnan, log, tau
from random import Random
from typing import Any

from river import forest, tree
from river.forest.adaptive_random_forest import BaseTreeClassifier
from river.proba import Gaussian
from river.tree.nodes.arf_htc_nodes import RandomLeafNaiveBayesAdaptive
from river.tree.nodes.branch import DTBranch
from river.tree.nodes.htc_nodes import LeafNaiveBayesAdaptive
from river.tree.splitter import GaussianSplitter
from river.tree.utils import do_naive_bayes_prediction

_HALF_LOG_TAU = 0.5 * log(tau)

Instance = dict[Any, Any]
Votes = dict[Any, float]


class _Gaussian(Gaussian):
    """A Gaussian saved without its random numbers: a tree draws none, and is 25 times as small."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_rng"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _rng=Random(0))  # noqa: S311 - River counts its size


@dataclass(slots=True)
class _Answer:
    """What a tree has found out about an instance since it learned last."""

    x: Instance
    leaf: _Leaf
    naive_bayes: Votes | None = None


class _Leaf(LeafNaiveBayesAdaptive):
    def prediction(self, x: Instance, *, tree: Any = None) -> Votes:
        if self.is_active() and self._nb_correct_weight >= self._mc_correct_weight:
            return self._naive_bayes(x, tree)
        return self._majority()

    def learn_one(self, x: Instance, y: Any, *, w: float = 1.0, tree: Any = None) -> None:
        if self.is_active():
            if not self.stats or _likeliest(self._majority()) == y:
                self._mc_correct_weight += w
            votes = self._naive_bayes(x, tree)
            if votes and _likeliest(votes) == y:
                self._nb_correct_weight += w
        tree._answer = None
        super(LeafNaiveBayesAdaptive, self).learn_one(x, y, w=w, tree=tree)

    def update_splitters(self, x: Instance, y: Any, w: float, nominal_attributes: Any) -> None:
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

    def _iter_features(self, x: Instance) -> Iterable[tuple[Any, Any]]:
        return x.items()

    def _majority(self) -> Votes:
        total = sum(self.stats.values())
        scale = 1.0 if total == 0 or isnan(total) else 1 / total
        return {label: weight * scale for label, weight in self.stats.items()}

    def _naive_bayes(self, x: Instance, tree: Any) -> Votes:
        answer = tree._answer
        if answer is None or answer.leaf is not self or answer.x != x:
            return _naive_bayes(x, self.stats, self.splitters)
        if answer.naive_bayes is None:
            answer.naive_bayes = _naive_bayes(x, self.stats, self.splitters)
        return answer.naive_bayes


class _RandomLeaf(_Leaf, RandomLeafNaiveBayesAdaptive):
    _iter_features = RandomLeafNaiveBayesAdaptive._iter_features


_LEAVES: dict[type, type] = {
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

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_answer"}

    def predict_proba_one(self, x: Instance, **_: Any) -> Votes:
        leaf = self._leaf_of(x)
        if leaf is None:
            return super().predict_proba_one(x)
        return {**dict.fromkeys(sorted(self.classes), 0.0), **leaf.prediction(x, tree=self)}

    def learn_one(self, x: Instance, y: Any, *, w: float = 1.0) -> None:
        leaf = self._leaf_of(x)
        seen = self._train_weight_seen_by_model + w
        if leaf is None or self._may_split(leaf, w) or seen % self.memory_estimate_period == 0:
            super().learn_one(x, y, w=w)
        else:
            self.classes.add(y)
            self._train_weight_seen_by_model = seen
            leaf.learn_one(x, y, w=w, tree=self)

    def _leaf_of(self, x: Instance) -> _Leaf | None:
        """Return where `x` goes, or None where that takes River's own rules."""
        if self._answer is not None and self._answer.x == x:
            return self._answer.leaf
        node: Any = self._root
        try:
            while isinstance(node, DTBranch):
                node = node.children[node.branch_no(x)]
        except KeyError:  # a feature that is missing, or text that no branch is for
            return None
        if not isinstance(node, _Leaf):
            return None
        self._answer = _Answer(x.copy(), node)
        return node

    def _may_split(self, leaf: _Leaf, w: float) -> bool:
        grown = leaf.total_weight + w - leaf.last_split_attempt_at
        return grown > self.grace_period - 1 or leaf.depth >= self.max_depth

    def _new_leaf(self, initial_stats: Any = None, parent: Any = None) -> Any:
        leaf = super()._new_leaf(initial_stats, parent)
        leaf.__class__ = _LEAVES.get(type(leaf), type(leaf))
        return leaf


class _ForestTree(HoeffdingTreeClassifier, BaseTreeClassifier):
    pass


class ARFClassifier(forest.ARFClassifier):
    """`river.forest.ARFClassifier`, with the same parameters and the same results."""

    def _new_base_model(self) -> Any:
        made = super()._new_base_model()
        made.__class__ = _ForestTree
        return made


def _update(splitter: Any, value: float, label: Any, weight: float) -> None:
    """Show a value to the estimator of a label that has seen one before (Welford, as River)."""
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


def _naive_bayes(x: Instance, stats: Votes, splitters: dict[Any, Any]) -> Votes:
    """Return each label's probability; in River's order of sums, where all features are numbers."""
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


def _log_vote(label: Any, prior: float, estimators: list[tuple[dict[Any, Any], Any]]) -> float:
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


def _likeliest(votes: Votes) -> Any:
    return max(votes, key=votes.__getitem__)
