"""Lost parts of an entry begin anew, as the definition has them; the rest of it goes on."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.models.candidates.evaluation import Prequential
from millrace.models.candidates.model_set import ModelSet
from millrace.models.monitoring.drift_monitor import DriftMonitor
from millrace.models.pipeline.definition import Pipeline
from millrace.models.sealed import Lost
from millrace.schemas import LostError
from millrace.streams.state.snapshot import Loaded


def renew_lost(loaded: Loaded, entry: str, pipeline: Pipeline) -> dict[str, Lost]:
    """Replace the lost parts of an entry by fresh ones; return each by its place.

    Parameters
    ----------
    loaded
        The entry.
    entry
        Its key in its store; that of a monitor of inputs or predictions is what it watches.
    pipeline
        What is fresh is as in its definition.

    Raises
    ------
    LostError
        The entry is lost as a whole.
    """
    value = loaded.value
    if isinstance(value, ModelSet | Prequential):
        return value.renew_lost(pipeline)
    found: dict[str, Lost] = {}
    for source, monitor in _monitors(entry, value):
        detector = pipeline.drift.detector_of(source)
        if monitor.lost is not None and detector is not None:
            found[f"the detector of {source!r}"] = monitor.lost
            monitor.renew(detector)
    if len(found) < len(loaded.lost):  # the user's own, or what is not watched any more
        raise LostError(loaded.lost[0].reason)
    return found


def _monitors(entry: str, value: object) -> Iterator[tuple[str, DriftMonitor]]:
    """Yield the monitors of an entry, each after what it watches."""
    if isinstance(value, DriftMonitor):
        yield entry, value
    elif isinstance(value, dict):
        yield from ((f"loss:{name}", each) for name, each in value.items())
