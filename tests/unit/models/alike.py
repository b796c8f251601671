"""What every model that stands for one of River's is held to."""

from collections.abc import Iterable
from typing import Any


def assert_alike(
    ours: Any, rivers: Any, examples: Iterable[tuple[dict[str, Any], Any]], delay: int = 0
) -> None:
    """Show both the same examples, `delay` behind their predictions, and compare all they say."""
    waiting = []
    for x, y in examples:
        assert ours.predict_proba_one(x) == rivers.predict_proba_one(x)
        assert ours.predict_one(x) == rivers.predict_one(x)
        waiting.append((x, y))
        if len(waiting) > delay:
            example = waiting.pop(0)
            ours.learn_one(*example)
            rivers.learn_one(*example)
