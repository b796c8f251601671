"""Which alerts a definition can lead to, as far as it names their sources: they begin at 0."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.models.monitoring.detectors import make_detector
from millrace.models.pipeline.definition import Pipeline
from millrace.models.selection.promoter import E_PROCESS
from millrace.streams.operators.invalid import VALIDITY


def known_alerts(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield detector and source; not of inputs, and not of detectors of the user's own.

    Examples
    --------
    >>> from millrace.models.pipelines.loans import pipeline
    >>> ("ADWIN", "loss:hoeffding_tree") in known_alerts(pipeline)
    True
    """
    drift = pipeline.drift
    watched = [(drift.loss, f"loss:{name}") for name in pipeline.models]
    for detector, source in [*watched, (drift.predictions, "prediction")]:
        if isinstance(detector, str):
            yield type(make_detector(detector)).__name__, source
    for name in pipeline.models:
        yield VALIDITY, f"invalid:{name}"
        if not pipeline.comparison.is_off:
            yield E_PROCESS, f"promotion:{name}"
