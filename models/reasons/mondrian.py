"""Aggregated Mondrian forests: each split adds the change on the path, damped by what is above.

A tree of such a forest (Mourtada, Gaiffas and Scornet, AMF: aggregated Mondrian forests for online
learning, 2021) does not only ask the leaf of an event, but mixes all nodes on the way there. From
the leaf upwards, with a weight a_k in [0, 1] of each branch k,

    f_k  =  a_k * value(k)  +  (1 - a_k) * f_(k + 1),

and the root's f_0 is predicted. Let d_k be the product of (1 - a_j) over all j < k: how much of the
nodes from k on arrives at the root. Then

    f_0  =  value(root)  +  sum over k >= 1 of d_k * (value(k) - value(k - 1)),

and each term is credited to the feature on which node k - 1 splits. Without aggregation all d_k are
1, as in other trees. The forest is the mean of its trees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp
from typing import Any

from river import forest

from millrace.models.reasons.family import Family, Question, Seen, always, refused
from millrace.models.reasons.reasons import Reasons, Scale, weighted_sum


def _of_tree(
    node: Any, x: Seen, value: Callable[[Any], float], aggregates: bool
) -> tuple[float, dict[str, float]]:
    base = before = value(node)
    arrives = 1.0
    contributions: dict[str, float] = {}
    while not node.is_leaf:
        feature = node.feature
        if aggregates:
            arrives *= 1.0 - 0.5 * exp(node.weight - node.log_weight_tree)
        try:
            node = node.next(x)
        except KeyError:  # a missing feature
            _, node = node.most_common_path()
        after = value(node)
        contributions[feature] = contributions.get(feature, 0.0) + arrives * (after - before)
        before = after
    return base, contributions


def _classifier(model: Any, x: Seen, question: Question) -> Reasons:
    of = question.of
    found = []
    for tree in model:
        place, n_classes = tree._class_to_idx.get(of), len(tree._classes)
        if place is None:  # a class that it has not seen yet
            return Reasons(Scale.PROBABILITY, 0.0, {}, of)

        def value(
            node: Any, place: int = place, n: int = n_classes, dirichlet: float = tree.dirichlet
        ) -> float:
            return float(node.predict(dirichlet, n)[place])

        found.append(Reasons(Scale.PROBABILITY, *_of_tree(tree._root, x, value, _mixes(tree))))
    return _forest(found, Scale.PROBABILITY)._replace(of=of)


def _regressor(model: Any, x: Seen, _question: Question) -> Reasons:
    found = [
        Reasons(Scale.TARGET, *_of_tree(tree._root, x, _node_mean, model.use_aggregation))
        for tree in model
    ]
    return _forest(found, Scale.TARGET)


def _forest(found: list[Reasons], scale: Scale) -> Reasons:
    if not found:
        raise refused("it has learned nothing yet")
    return Reasons(scale, *weighted_sum((1.0 / len(found), each) for each in found))


def _mixes(tree: Any) -> bool:
    return bool(tree.use_aggregation)


def _node_mean(node: Any) -> float:
    return float(node.predict())


MODELS: Mapping[type, Family] = {
    forest.AMFClassifier: Family(_classifier, always(Scale.PROBABILITY)),
    forest.AMFRegressor: Family(_regressor, always(Scale.TARGET)),
}
