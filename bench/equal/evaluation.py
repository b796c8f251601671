"""How good predictions are, and whether they or their inputs drift."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from river import metrics, utils
from river.drift import ADWIN

_ROLLING_WINDOW = 1_000


class Scores:
    """Accuracy and F1 of one model or baseline over all examples, and accuracy over the newest."""

    def __init__(self) -> None:
        self._matrix: Any = metrics.ConfusionMatrix()  # type: ignore[no-untyped-call]  # River's
        self.accuracy: Any = metrics.Accuracy(cm=self._matrix)  # type: ignore[no-untyped-call]
        self.f1: Any = metrics.F1(cm=self._matrix)  # type: ignore[no-untyped-call]
        self.rolling: Any = utils.Rolling(metrics.Accuracy, window_size=_ROLLING_WINDOW)

    def update(self, label: bool, predicted: bool) -> None:
        self._matrix.update(label, predicted)  # which accuracy and F1 share
        self.rolling.update(label, predicted)


class Monitors:
    """One detector for each of the numbers that are watched, by name."""

    def __init__(self) -> None:
        self._detectors: defaultdict[str, Any] = defaultdict(ADWIN)

    def watch(self, values: Mapping[str, float]) -> list[str]:
        """Return the names of the numbers that have just drifted."""
        drifted = []
        for name, value in values.items():
            detector = self._detectors[name]
            detector.update(value)
            if detector.drift_detected:
                drifted.append(name)
        return drifted
