"""How a model is compared with the one of River's that it stands for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from river.base import Classifier
from river.base.typing import ClfTarget

from millrace.models.candidates.accelerated import Instance


def assert_alike(
    ours: Classifier,
    rivers: Classifier,
    examples: Iterable[tuple[Instance, ClfTarget]],
    delay: int = 0,
) -> None:
    """Let both predict all examples and learn each `delay` examples later; compare predictions."""
    waiting: deque[tuple[Instance, ClfTarget]] = deque()
    for x, y in examples:
        assert ours.predict_proba_one(x) == rivers.predict_proba_one(x)
        assert ours.predict_one(x) == rivers.predict_one(x)
        waiting.append((x, y))
        if len(waiting) > delay:
            example = waiting.popleft()
            ours.learn_one(*example)
            rivers.learn_one(*example)
