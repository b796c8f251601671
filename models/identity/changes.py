"""What changes between two definitions: the rules of a deploy.

Two descriptions are compared, without the author's code. `check --against` and `deploy` print the
result before anything is done; the control operator refuses by the same rules; the operators of a
task take over, begin and retire what it names.

================================== ===========================================================
what is other                      what becomes of it
================================== ===========================================================
a candidate is new                 it begins untrained, beside the champion
a candidate has changed            by its `on_change`, it challenges the old one, replaces it,
                                   or goes on with what the old one has learned
a candidate is gone                it is retired; the champion that serves must stay
a feature is new, or gone          it begins or ends; candidates see those they began with
a feature has changed              refused under the same name, also one that was removed before
a metric, detector, rolling_window it begins anew, alone
the schema                         as far as Avro reads old records, and features their fields
classes                            may be added
name, event_id, key, event_time,   refused
task, label, scope
any other setting                  takes effect
================================== ===========================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millrace.models.identity.class_changes import added_classes
from millrace.models.identity.definition import Description, named, parts_of, place
from millrace.models.identity.past import NOTHING, Past
from millrace.models.identity.refusals import FIXED, refusals
from millrace.models.identity.schema_changes import schema_changes
from millrace.models.identity.setting import comparable
from millrace.models.identity.summary import Changes
from millrace.models.parameters import one_of
from millrace.models.pipeline.fate import Fate
from millrace.models.pipeline.on_change import is_same_model

_RULED = frozenset({*FIXED, "schema", "classes", "models", "features", "metrics"})
_FATES = {"challenge": Fate.CHALLENGES, "replace": Fate.REPLACES, "adopt": Fate.ADOPTS}


def changes(
    before: Description, now: Description, champion: str | None = None, past: Past | None = None
) -> Changes:
    """Compare two descriptions of a pipeline.

    Parameters
    ----------
    before, now
        What `describe` returned for the definition in force, and for the new one.
    champion
        Name of the candidate that serves; by default the first of the definition in force.
    past
        What is remembered of the definitions before it; by default nothing.

    Raises
    ------
    DefinitionError
        The definition in force has no candidate of the champion's name.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from millrace.models.identity.definition import describe
    >>> from millrace.models.pipelines.loans import pipeline
    >>> shorter = replace(pipeline, rolling_window=100)
    >>> changes(describe(pipeline), describe(shorter)).changed
    ('rolling_window',)
    """
    before, now = comparable(before, now)
    past = past or NOTHING
    models = [*named(before["models"])]
    champion = models[0] if champion is None else champion
    one_of(f"champion must be one of the models in force, {models}", champion, models)
    old, new, same = parts_of(before), parts_of(now), _same(before, now)
    features = [name for name in named(now["features"]) if same.get(place("features", name))]
    schema = schema_changes(before, now, features, past["schemas"])
    fates = _fates(before, now, same)
    return Changes(
        pipeline=now["name"],
        champion=champion,
        kept=tuple(part for part in new if same.get(part)),
        added=tuple(part for part in new if part not in old),
        removed=tuple(part for part in old if part not in new),
        changed=tuple(part for part in new if same.get(part) is False),
        candidates=fates,
        settings=dict(_settings(before, now)),
        notes=(
            *schema.notes,
            *added_classes(before, now),
            *_notes(before, now, champion, fates),
            *_returned(past, fates),
        ),
        refused=(*refusals(before, now, champion, same, past["features"]), *schema.refused),
    )


def _same(before: Description, now: Description) -> dict[str, bool]:
    """Return each part that both definitions have, and whether it is the same in both."""
    old, models = parts_of(before), named(before["models"])
    found = {
        part: identity is not None and identity == old[part]
        for part, identity in parts_of(now).items()
        if part in old
    }
    for name, each in named(now["models"]).items():
        if name in models:
            found[place("models", name)] = is_same_model(models[name], each)
    return found


def _fates(before: Description, now: Description, same: Mapping[str, bool]) -> dict[str, Fate]:
    old, new = named(before["models"]), named(now["models"])
    has_more = bool(named(now["features"]).keys() - named(before["features"]).keys())
    found = {}
    for name, each in new.items():
        was = old.get(name, each)["on_change"]
        adopts = each["on_change"] == "adopt" and (has_more or was != "adopt")
        if name not in old:
            found[name] = Fate.BEGINS
        elif same[place("models", name)] and not adopts:
            found[name] = Fate.GOES_ON
        else:
            found[name] = _FATES[each["on_change"]]
    return found | {name: Fate.RETIRED for name in old if name not in new}


def _settings(before: Description, now: Description) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield what else is given, where it is other. An earlier release need not have known it."""
    for name, value in now.items():
        if name not in _RULED:
            yield from _unlike(name, before.get(name, value), value)


def _unlike(name: str, was: Any, now: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield what of a setting is other: by itself, where it has parts."""
    if isinstance(was, dict) and isinstance(now, dict):
        for part in (each for each in now if each != "detectors"):
            yield from _unlike(f"{name}.{part}", was.get(part, now[part]), now[part])
    elif was != now:
        yield name, (was, now)


def _notes(
    before: Description, now: Description, champion: str, fates: Mapping[str, Fate]
) -> Iterator[str]:
    """Yield what its author may not expect."""
    old, new = named(before["models"]), named(now["models"])
    (was_first, *_), (first, *_) = old, new
    if first not in (was_first, champion) and champion in new:
        yield (
            f"the champion is still {champion!r}, though models begin with {first!r}: promote it by"
            " hand"
        )
    for gone in (each for each in old if each not in new):
        for name in (each for each in new if each not in old):
            if is_same_model(old[gone], new[name]):
                yield (
                    f"models[{name!r}] begins untrained, though {gone!r} was the same: what is"
                    " learned is kept by name"
                )
    yield from _of_features([*named(before["features"])], [*named(now["features"])], fates)


def _returned(past: Past, fates: Mapping[str, Fate]) -> Iterator[str]:
    for name, fate in fates.items():
        if fate is Fate.BEGINS and name in past["models"]:
            yield f"models[{name!r}] was there before: what it had learned went when it was removed"


def _of_features(before: list[str], now: list[str], fates: Mapping[str, Fate]) -> Iterator[str]:
    added, removed = [n for n in now if n not in before], [n for n in before if n not in now]
    going_on = {Fate.GOES_ON, Fate.CHALLENGES} & {*fates.values()}
    if added and going_on:
        yield (
            f"models that go on do not see {added}: a new candidate does, or one with"
            " on_change='adopt'"
        )
    if removed and going_on | {Fate.ADOPTS} & {*fates.values()}:
        yield f"models that go on no longer see {removed}"
    if [n for n in before if n in now] != [n for n in now if n in before]:
        yield "features are in another order"
