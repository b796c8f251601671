"""Hoeffding trees: each split adds the change of the prediction on the path.

Every node of a tree keeps what it has seen: the weight of each class, or the mean of the target.
From the root to the leaf of an event, the prediction moves from node to node, and each move is
credited to the feature on which the node above splits (Saabas, Interpreting random forests, 2014;
the package treeinterpreter; Palczewska et al., Interpreting random forest models using a feature
contribution method, 2013):

    prediction  =  value(root)  +  sum over the path of value(child) - value(parent)  +  leaf model.

A split keeps what it had seen when it was made, as River does. Where a feature is missing, the
event follows the path of most events, and the move is the missing feature's. What the model in a
leaf says beyond the leaf's own counts or mean is a contribution of its own, `LEAF_MODEL`; a linear
model of numbers is told apart by feature, as "size (leaf model)".

An adaptive tree also asks the leaves of branches that it grows as alternatives: the result is the
mean of all leaves that an event reaches, weighted as River weights them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from river import tree
from river.forest.adaptive_random_forest import BaseTreeClassifier, BaseTreeRegressor
from river.tree.nodes.branch import DTBranch

from millrace.models.candidates.accelerated import trees
from millrace.models.reasons.family import Family, Question, Seen, always, refused
from millrace.models.reasons.reasons import (
    ALTERNATE_TREE,
    LEAF_MODEL,
    NOT_FEATURES,
    NoExactReasonsError,
    Reasons,
    Scale,
    in_leaf,
    weighted_sum,
)

_Value: TypeAlias = Callable[[Any], float]
"""Returns what a node predicts by what it has seen."""

_Step: TypeAlias = tuple[str, Any]
"""What led to a node, and the node; for the root, nothing did."""


def _path(node: Any, x: Seen) -> list[_Step]:
    """Return the nodes of an event, from the root to the leaf, as River walks them."""
    steps: list[_Step] = [("", node)]
    while _is_branch(node):
        feature: str = node.feature
        try:
            node = node.next(x)
        except KeyError:  # a missing feature, or text without a branch
            _, node = node.most_common_path()
        steps.append((feature, node))
    return steps


def _along(path: Sequence[_Step], value: _Value) -> tuple[float, dict[str, float]]:
    """Return the value of the root, and what each feature changes on the path."""
    values = [value(node) for _, node in path]
    contributions: dict[str, float] = {}
    for (before, after), (feature, _) in zip(pairwise(values), path[1:], strict=True):
        contributions[feature] = contributions.get(feature, 0.0) + after - before
    return values[0], contributions


def _share(node: Any, of: Any) -> float:
    total = sum(node.stats.values())
    return node.stats.get(of, 0.0) / total if total else 0.0


def _mean(node: Any) -> float:
    return float(node.stats.mean.get())


def _of_class(path: Sequence[_Step], votes: Mapping[Any, float], of: Any) -> Reasons:
    """Return what the answer of a leaf is made of, as the share of a class in its votes."""
    base, contributions = _along(path, lambda node: _share(node, of))
    total = sum(votes.values())
    share = votes.get(of, 0.0) / total if total else 0.0
    added = share - _share(path[-1][1], of)
    if added:
        contributions[LEAF_MODEL] = added
    return Reasons(Scale.PROBABILITY, base, contributions, of)


def _of_number(model: Any, path: Sequence[_Step], x: Seen, question: Question) -> Reasons:
    base, contributions = _along(path, _mean)
    leaf = path[-1][1]
    mean, predicted = _mean(leaf), float(leaf.prediction(x, tree=model))
    if predicted != mean:
        _add_leaf_model(contributions, leaf, predicted - mean, mean, x, question)
    return Reasons(Scale.TARGET, base, contributions)


def _add_leaf_model(
    contributions: dict[str, float],
    leaf: Any,
    added: float,
    mean: float,
    x: Seen,
    question: Question,
) -> None:
    """Add what a leaf model says beyond the mean of its leaf, by feature if it can be told."""
    try:
        inside = question.ask(leaf._leaf_model, x)
    except NoExactReasonsError:
        contributions[LEAF_MODEL] = added
        return
    for name, each in inside.contributions.items():
        contributions[name if name in NOT_FEATURES else in_leaf(name)] = each
    contributions[LEAF_MODEL] = contributions.get(LEAF_MODEL, 0.0) + inside.base - mean


def _classifier(model: Any, x: Seen, question: Question) -> Reasons:
    path = _path(_root(model), x)
    return _of_class(path, path[-1][1].prediction(x, tree=model), question.of)


def _adaptive_classifier(model: Any, x: Seen, question: Question) -> Reasons:
    found = []
    for path in _paths(_root(model), x):
        votes = path[-1][1].prediction(x, tree=model)
        found.append((sum(votes.values()), _of_class(path, votes, question.of)))
    total = sum(weight for weight, _ in found)
    if not total:
        raise refused("its leaves have no answer for this event")
    base, contributions = weighted_sum((weight / total, each) for weight, each in found)
    return Reasons(Scale.PROBABILITY, base, contributions, question.of)


def _regressor(model: Any, x: Seen, question: Question) -> Reasons:
    if model._root is None:
        return Reasons(Scale.TARGET, 0.0, {})
    return _of_number(model, _path(model._root, x), x, question)


def _adaptive_regressor(model: Any, x: Seen, question: Question) -> Reasons:
    if model._root is None:
        return Reasons(Scale.TARGET, 0.0, {})
    paths = _paths(model._root, x)
    found = [_of_number(model, path, x, question) for path in paths]
    base, contributions = weighted_sum((1.0 / len(found), each) for each in found)
    return Reasons(Scale.TARGET, base, contributions)


def _paths(root: Any, x: Seen) -> list[list[_Step]]:
    """Return the paths to all leaves that an adaptive tree asks, alternatives first, as River."""
    path = _path(root, x)
    if not _is_branch(root):
        return [path]
    *others, _ = root.traverse(x, until_leaf=True)
    ends = {
        id(alternate): [*path[: place + 1], (ALTERNATE_TREE, alternate)]
        for place, (_, node) in enumerate(path)
        if (alternate := getattr(node, "_alternate_tree", None)) is not None
    }
    try:
        return [*(ends[id(leaf)] for leaf in others), path]
    except KeyError:  # an alternative with branches of its own, of which River's tree raises
        raise refused("an alternate tree has branches") from None


def _is_branch(node: object) -> bool:
    return isinstance(node, DTBranch)


def _root(model: Any) -> Any:
    if model._root is None:
        raise refused("it has learned nothing yet")
    return model._root


_CLASSIFIER = Family(_classifier, always(Scale.PROBABILITY))
_ADAPTIVE_CLASSIFIER = Family(_adaptive_classifier, always(Scale.PROBABILITY))
_REGRESSOR = Family(_regressor, always(Scale.TARGET))

MODELS: Mapping[type, Family] = {
    tree.HoeffdingTreeClassifier: _CLASSIFIER,
    trees.HoeffdingTreeClassifier: _CLASSIFIER,
    trees._ForestTree: _CLASSIFIER,
    BaseTreeClassifier: _CLASSIFIER,
    tree.ExtremelyFastDecisionTreeClassifier: _CLASSIFIER,
    tree.HoeffdingAdaptiveTreeClassifier: _ADAPTIVE_CLASSIFIER,
    trees.HoeffdingAdaptiveTreeClassifier: _ADAPTIVE_CLASSIFIER,
    tree.HoeffdingTreeRegressor: _REGRESSOR,
    BaseTreeRegressor: _REGRESSOR,
    tree.HoeffdingAdaptiveTreeRegressor: Family(_adaptive_regressor, always(Scale.TARGET)),
}
