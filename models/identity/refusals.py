"""What a deploy cannot change: each refusal names the parameter and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from millrace.models.identity.class_changes import lost_classes
from millrace.models.identity.definition import Description, named, place
from millrace.models.user_code import shown

FIXED: Mapping[str, str] = {
    "name": "by which topics and state are found",
    "event_id": "by which labels find their events",
    "key": "by which events are routed and state is kept",
    "event_time": "by which windows and labels are timed",
    "task": "for which models and metrics are made",
    "label": "which models have learned",
    "scope": "by which models are kept",
}
"""Parameter to why it must stay as it is."""

_OTHER_NAME = "Give the pipeline another name: it has topics and state of its own"
_OWN_WORKER = "Keep it, or start the other pipeline with a worker of its own"


def refusals(
    before: Description,
    now: Description,
    champion: str,
    same: Mapping[str, bool],
    past: Mapping[str, str | None],
) -> Iterator[str]:
    """Yield why a definition cannot follow another, the schema left out.

    Parameters
    ----------
    before, now
        Descriptions of the pipelines.
    champion
        Name of the candidate that serves.
    same
        Each part that both have, and whether it is the same in both.
    past
        Name to identity of each feature of definitions before.
    """
    for parameter, why in FIXED.items():
        was, is_now = before[parameter], now[parameter]
        if was != is_now:
            way_out = _OWN_WORKER if parameter == "name" else _OTHER_NAME
            yield f"{parameter} must stay {shown(was)}, {why}; got {shown(is_now)}. {way_out}"
    yield from lost_classes(before, now)
    yield from _of_models(now, champion, same)
    was = {name: each["identity"] for name, each in named(before["features"]).items()}
    yield from _of_features({**past, **was}, now)


def _of_models(now: Description, champion: str, same: Mapping[str, bool]) -> Iterator[str]:
    models = named(now["models"])
    if champion not in models:
        yield (
            f"models must keep {champion!r}, the champion that serves; got {[*models]}. Promote"
            " another first, and take it out then"
        )
    for name, each in models.items():
        where = place("models", name)
        if same.get(where) is False and each["code"] is None and each["version"] is None:
            yield (
                f"{where} must be something of which a change is seen; the source of its code"
                " cannot be found. Give it a version: Candidate(factory, version='1')"
            )


def _of_features(was: Mapping[str, str | None], now: Description) -> Iterator[str]:
    for name, each in named(now["features"]).items():
        where, identity = place("features", name), each["identity"]
        if name not in was or (identity == was[name] and identity is not None):
            continue
        if None in (identity, was[name]):
            yield (
                f"{where} must be something of which a change is seen; the source of its code"
                " cannot be found. Define it in a file, under another name"
            )
        else:
            yield (
                f"{where} must mean what it did, since models have learned it under this name; it"
                " has changed. Give the changed one another name"
            )
