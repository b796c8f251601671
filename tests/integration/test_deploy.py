"""A definition is changed under load, through kills, by workers with old files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from river.linear_model import LogisticRegression

from millrace.streams.operators.class_names import as_published
from millrace.streams.settings import Guarantee, Settings
from tests.integration.clients import Topics
from tests.integration.workers import Worker, run_command, settings, wait_for

EACH = 400  # events under each definition, and more while a deploy is under way
FILE = """
from datetime import timedelta
from millrace import Pipeline, derived, fields, rolling
from river.linear_model import LogisticRegression
from own_parts import Own

names = {{"id": "string", "user": "string", "x": "double", "z": "double", "y": ["null", "boolean"]}}
schema = {{
    "type": "record",
    "name": "Visit",
    "fields": [{{"name": name, "type": kind}} for name, kind in names.items()] + {more},
}}
hourly = rolling("x", "mean", window=timedelta(hours=1), by="user")
pipeline = Pipeline(
    name="visits",
    schema=schema,
    event_id="id",
    label="y",
    key="user",
    task="binary",
    features=[fields("x", "z"), hourly, *{features}],
    models={{"line": LogisticRegression, "own": Own}},
)
"""
OWN = """
from river.linear_model import LogisticRegression


class Own(LogisticRegression):
    def predict_proba_one(self, x):
        return super().predict_proba_one({{name: {factor} * value for name, value in x.items()}})
"""
SECOND = '[{"name": "w", "type": "double", "default": 1.5}]'


def event(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    x, z = rng.gauss(0, 1), rng.gauss(0, 1)
    user = rng.choice("abc")
    return {"id": str(number), "user": user, "x": x, "z": z, "w": z, "y": x + z > 0.1}


def expected(predictions: list[dict[str, Any]]) -> list[Any]:
    """Predict and learn with River alone, on what the champion has seen from the beginning."""
    model, made = LogisticRegression(), []
    for each in predictions:
        seen = {name: v for name, v in each["features"].items() if name not in ("w", "double")}
        made.append({str(label): p for label, p in model.predict_proba_one(seen).items()})
        model.learn_one(seen, event(int(each["event_id"]))["y"])
    return made


class Visits:
    """Versions of a pipeline, each in a folder of its own, and their worker and commands.

    Parameters
    ----------
    name
        Of the pipeline.
    folder
        Of the versions.
    own
        Settings of the worker, whose file is that of version `one`.
    """

    def __init__(self, name: str, folder: Path, own: Settings) -> None:
        self.topics = Topics(own.broker, name)
        self.own = own.model_copy(update={"pipeline": str(folder / "one" / "visits.py")})
        self.sent = 0
        self._folder = folder

    def write(self, version: str, factor: int = 1, begin: str = "", **parts: str) -> None:
        folder = self._folder / version
        folder.mkdir()
        text = FILE.format(**{"more": "[]", "features": "[]"} | parts)
        (folder / "visits.py").write_text(begin + text)
        (folder / "own_parts.py").write_text(OWN.format(factor=factor))

    def file(self, version: str) -> str:
        return str(self._folder / version / "visits.py")

    def send(self, count: int) -> None:
        made = [
            json.dumps(event(number)).encode() for number in range(self.sent, self.sent + count)
        ]
        self.topics.produce("events", ({"value": each, "partition": 0} for each in made))
        self.sent += count

    def call(self, *arguments: str, **environment: str) -> tuple[int, str]:
        return run_command(self.own, *arguments, **environment)

    def deploy(self, version: str, *options: str, **environment: str) -> tuple[int, str]:
        return self.call("deploy", self.file(version), "--reason", version, *options, **environment)


@pytest.fixture
def make_visits(
    kafka: str, unique_name: Callable[[str], str], tmp_path: Path
) -> Callable[..., Visits]:
    def make(**more: Any) -> Visits:
        name = unique_name("deploy")
        return Visits(name, tmp_path, settings("", name, kafka, partitions=1, **more))

    return make


@pytest.mark.parametrize(
    ("chain", "guarantee"),
    [
        ("default", Guarantee.EXACTLY_ONCE),
        pytest.param("default", Guarantee.AT_LEAST_ONCE, marks=pytest.mark.platform),
        pytest.param("full", Guarantee.EXACTLY_ONCE, marks=pytest.mark.platform),
        pytest.param("full", Guarantee.AT_LEAST_ONCE, marks=pytest.mark.platform),
    ],
    ids=str,
)
def test_a_definition_is_changed_under_load(
    chain: str, guarantee: Guarantee, make_visits: Callable[..., Visits]
) -> None:
    """What is unchanged goes on bit for bit; nothing is lost; the past can be made again."""
    visits = make_visits(
        chain=chain, flush_seconds=0.5, batch_records=50, processing_guarantee=guarantee
    )
    visits.write("one")
    double = 'derived("double", lambda e: e["x"] * 2)'
    visits.write("two", factor=2, more=SECOND, features=f'[fields("w"), {double}]')
    visits.write("three", factor=3, more=SECOND, features='[fields("w")]')
    topics = visits.topics
    with Worker(visits.own) as worker:
        worker.wait_ready()
        visits.send(EACH)
        code, said = visits.deploy("two")
        assert code == 0, said
        assert "models['line'], the champion, goes on" in said
        assert "models['own'] challenges the old 'own'" in said
        visits.send(EACH)
        topics.messages("predictions", at_least=EACH + 100)
        visits.call("set", "drift.policy", "reset", "--reason", "a trial", "--wait", "0")
        worker.kill()
    newer = visits.own.model_copy(update={"pipeline": visits.file("two")})
    with Worker(newer) as worker:  # whose file is what is in force: it deploys nothing
        worker.wait_ready()
        worker.terminate()
    with Worker(visits.own) as worker:  # whose file is the first
        worker.wait_ready()
        visits.send(EACH)
        topics.messages("predictions", at_least=visits.sent)
        code, said = visits.deploy("three")
        assert code == 0, said
        assert "drift.policy is no longer set to 'reset'" in said
        assert "drift.policy unset: reset -> alert" in said
        visits.send(EACH)
        topics.messages("predictions", at_least=visits.sent)
        wait_for("all predictions", lambda: len(by_number(topics)) == visits.sent)
        warnings = [each for each in worker.log().splitlines() if "was in force before" in each]
        assert worker.failing() == {}
        worker.terminate()

    predictions = by_number(topics)
    assert topics.records("rejects") == []
    published = [each["probabilities"] for each in predictions]
    assert published == as_published(expected(predictions))
    in_order = in_force(predictions)
    assert [json.loads(each)["in_force"] for each in warnings] == [in_order[2]]
    entries = [each for each in topics.records("audit") if each["subject"] == "drift.policy"]
    assert [(each["action"], each["before"], each["after"]) for each in entries] == [
        ("set", "alert", "reset"),
        ("unset", "reset", "alert"),
    ]
    code, listed = visits.call("definitions", "--json")
    assert [json.loads(each)["definition"] for each in listed.splitlines()] == in_order
    code, said = visits.call("audit", "--verify")
    assert code == 0, said
    for number in (EACH // 2, EACH + EACH // 2, visits.sent - 1):
        code, said = visits.call("reproduce", str(number))
        assert (code, "identical" in said) == (0, True), said


def in_force(predictions: list[dict[str, Any]]) -> list[str]:
    """Return what predictions name, in order; only under the second file they have `double`."""
    named = [each["definition"] for each in predictions]
    in_order = [*dict.fromkeys(named)]
    assert len(in_order) == 4
    assert in_order[2] == f"{in_order[1]}?drift.policy=reset"
    assert named == sorted(named, key=in_order.index)
    has_double = ["double" in each["features"] for each in predictions]
    assert has_double == [each in in_order[1:3] for each in named]
    return in_order


def by_number(topics: Topics) -> list[dict[str, Any]]:
    """Return the prediction of each event, in order."""
    unique = {int(each["event_id"]): each for each in topics.records("predictions")}
    return [each for _, each in sorted(unique.items())]


def test_a_definition_that_cannot_be_loaded_halts_and_goes_on(
    make_visits: Callable[..., Visits], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker says so on /healthz, and goes on once what is missing is there."""
    visits = make_visits(flush_seconds=0.5)
    visits.write("one")
    visits.write("two", begin="import needed_by_two")
    here, there = tmp_path / "here", tmp_path / "there"  # libraries, of two machines
    for folder in (here, there):
        folder.mkdir()
    (here / "needed_by_two.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(there))
    with Worker(visits.own) as worker:
        worker.wait_ready()
        code, said = visits.deploy("two", "--wait", "3", PYTHONPATH=str(here))
        assert (code, "have not applied the command" in said) == (2, True), said
        visits.send(1)
        wait_for("halt", worker.failing)
        assert visits.topics.records("predictions") == []
        (there / "needed_by_two.py").write_text("")
        visits.topics.messages("predictions", at_least=1)
        wait_for("recovery", lambda: not worker.failing())
