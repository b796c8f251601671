"""What candidates lost by groups of the events of a block, where the definition names groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas.records import FeatureVector, GroupLosses
from millrace.streams.operators.block_losses import Met, rival_of
from millrace.streams.operators.block_sums import Losses
from millrace.streams.operators.joined import Joined

_LONGEST = 100  # characters of a group
_NONE = "none"


def group_of(pipeline: Pipeline) -> Callable[[FeatureVector], str] | None:
    """Return what tells the group of an event; None where there are no groups."""
    name = pipeline.comparison.group
    if name is None:
        return None
    if name == pipeline.key:
        return lambda vector: _text(vector["key"])
    return lambda vector: _text(vector["features"].get(name))


def add_groups(
    met: Met,
    joined: Sequence[Joined],
    losses: Mapping[str, Losses],
    group_of: Callable[[FeatureVector], str],
) -> None:
    """Add what was lost by events that have met their labels to the groups of their block.

    One after the other, as they came: so the sums are the same wherever a slice is cut.
    """
    block = met.block
    bound = block["loss_bound"]
    if bound is None:
        return
    for place in met.places:
        of_event = {
            name: _bounded(column[place], bound)
            for name, column in losses.items()
            if name not in met.sometimes or name in joined[place].predicted
        }
        group = block["groups"].setdefault(group_of(joined[place].vector), {})
        for name, own in of_event.items():
            rival = rival_of(name, block["champion"])
            if rival == name or rival not in of_event:
                continue
            difference = of_event[rival] - own
            known = group.get(name)
            if known is None:
                known = group[name] = GroupLosses(events=0, difference=0.0, squared_difference=0.0)
            known["events"] += 1
            known["difference"] += difference
            known["squared_difference"] += difference * difference


def _bounded(loss: float | None, bound: float) -> float:
    return 1.0 if loss is None or loss >= bound else loss / bound


def _text(value: object) -> str:
    return _NONE if value is None else str(value)[:_LONGEST]
