"""The identities of the parts of a definition."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Never

import pytest
from river.naive_bayes import GaussianNB

from millrace.models.features.base import Feature
from millrace.models.features.calendar import calendar
from millrace.models.features.fields import fields
from millrace.models.features.rolling import rolling
from millrace.models.identity.definition import changed_parts, describe, identities
from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import EventSchema

_PRINT = """
import importlib, json, sys
sys.setrecursionlimit(int(sys.argv[1]))
from millrace.models.candidates import catalogue
from millrace.models.identity.definition import identities
from millrace.models.identity.description import identity_of

names = ("image_segments", "loans", "phishing", "shuttle", "trump_approval")
found = {}
for name in names:
    found[name] = identities(importlib.import_module(f"millrace.models.pipelines.{name}").pipeline)
for name in {*catalogue.__all__} - {"factory", "names"}:
    found[name] = identity_of(getattr(catalogue, name)())
json.dump(found, sys.stdout)
"""


def test_they_are_the_same_in_every_process() -> None:
    """Neither the order of sets and hashes, nor addresses, nor the recursion limit are in them."""
    printed = [
        subprocess.check_output(
            [sys.executable, "-c", _PRINT, limit], env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed, limit in (("1", "1000"), ("2", "3000"))
    ]
    first, second = map(json.loads, printed)
    assert first == second
    assert len(first) > 15


def test_a_feature_keeps_its_identity_when_others_come_and_go() -> None:
    """Each name of a feature is a part of its own."""
    hourly = rolling("amount", "count", "mean", window=timedelta(hours=1))
    for some, more in (
        (fields("a"), fields("b", "a")),
        (calendar("hour"), calendar("month", "hour")),
        (rolling("amount", "mean", window=timedelta(hours=1)), hourly),
    ):
        name = some.names[0]
        before, now = (identities(_pipeline(each)) for each in (some, more))
        assert before[f"features[{name!r}]"] == now[f"features[{name!r}]"]
        assert len(now) == len(before) + 1


@pytest.mark.parametrize(
    ("before", "now", "name"),
    [
        (calendar("hour"), calendar("hour", timezone="Asia/Tokyo"), "hour"),
        (
            rolling("a", "mean", window=timedelta(hours=1), name="x"),
            rolling("b", "mean", window=timedelta(hours=1), name="x"),
            "x_mean_1h",
        ),
        (
            rolling("a", "mean", window=timedelta(hours=1)),
            rolling("a", "mean", window=timedelta(hours=1), by="b"),
            "a_mean_1h",
        ),
    ],
    ids=["time zone", "field", "group"],
)
def test_another_meaning_under_the_same_name_is_seen(
    before: Feature, now: Feature, name: str
) -> None:
    """A name may stay where what it stands for does not."""
    both = (identities(_pipeline(each)) for each in (before, now))
    assert changed_parts(*both) == [f"features[{name!r}]"]


def test_earlier_schemas_are_described(visits: Callable[..., Pipeline]) -> None:
    """An earlier schema is there as records and rejects name it."""
    before = visits().schema
    assert describe(visits())["earlier_schemas"] == []
    (found,) = describe(visits(earlier_schemas=[before]))["earlier_schemas"]
    assert found == EventSchema(before).fingerprint
    assert EventSchema(before).as_written.header.endswith(bytes.fromhex(found))


def test_a_part_that_cannot_be_told_has_no_identity() -> None:
    """A worker starts all the same: it is not compared."""

    class Odd(GaussianNB):
        @property
        def __wrapped__(self) -> Never:
            raise ValueError

    space: dict[str, object] = {"__name__": "nowhere", "GaussianNB": GaussianNB}
    exec("def made():\n    return GaussianNB()\n", space)
    pipeline = _pipeline(fields("a"))
    odd = replace(pipeline, models={"odd": Odd, "made": space["made"], "bayes": GaussianNB})
    models = {name for name in identities(odd) if name.startswith("models")}
    assert models == {"models['bayes']"}


def _pipeline(feature: Feature) -> Pipeline:
    columns = [{"name": name, "type": "double"} for name in ("a", "b", "amount")]
    return Pipeline(
        name="rows",
        schema={
            "type": "record",
            "name": "Row",
            "fields": [{"name": "id", "type": "string"}, *columns],
        },
        event_id="id",
        task="binary",
        models={"bayes": GaussianNB},
        features=[feature],
    )
