"""What contestants run, and what they all have in common."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bench
from bench import data
from bench.contestants import CONTESTANTS, millrace
from bench.job import Job
from bench.learner import Learner
from millrace import catalogue

REPOSITORY = Path(bench.__file__).parents[1]


def options_of(command: list[str]) -> dict[str, str]:
    return dict(each.removeprefix("--").split("=") for each in command[2:])


def test_millrace_is_started_by_its_command_line(job):
    """It gets the job's broker and partitions, its chain and its guarantee."""
    options = options_of(CONTESTANTS["default-eos"](replace(job, partitions=4)))
    assert int(options.pop("web-port")) > 0
    assert options == {
        "pipeline": "bench.pipeline:pipeline",
        "broker": "127.0.0.1:9092",
        "chain": "default",
        "guarantee": "exactly_once",
        "partitions": "4",
    }


def test_the_embedded_broker_is_named_as_millrace_expects(job):
    """Millrace must know that the broker has no transactions."""
    options = options_of(millrace("full", web_port=6066)(replace(job, embedded=True)))
    assert options["broker"] == "embedded://127.0.0.1:9092"
    assert options["web-port"] == "6066"
    assert options["guarantee"] == "at_least_once"


def test_a_script_runs_in_this_interpreter(job):
    """What needs nothing but Millrace's dependencies needs no other environment."""
    command = CONTESTANTS["handwritten"](job)
    assert command == [sys.executable, "-P", "-m", "bench.subjects.handwritten"]


def test_a_job_survives_its_environment(job, monkeypatch):
    """A contestant's process gets the job that it was started for."""
    (variable,) = job.as_environment().items()
    monkeypatch.setenv(*variable)
    assert Job.from_environment() == job
    assert (job.input_topic, job.output_topic) == ("bench-1.events", "bench-1.predictions")


@pytest.mark.parametrize(
    ("keyed", "names"),
    [(False, ["id", "x0", "x1", "label"]), (True, ["id", "key", "x0", "x1", "label"])],
)
def test_only_keyed_events_have_a_key(job, keyed, names):
    """The schema of an event has its id, its key if any, the features and the label."""
    fields = replace(job, keyed=keyed).schema["fields"]
    assert [each["name"] for each in fields] == names


@pytest.mark.parametrize(
    "model", ["logistic_regression", "hoeffding_tree", "adaptive_random_forest"]
)
def test_all_contestants_train_the_same_model(model, job, monkeypatch):
    """River's own class predicts what the one in Millrace's catalogue predicts."""
    monkeypatch.delenv("ELEC2", raising=False)
    rows = data.rows(300)
    job = replace(job, model=model, features=[*rows[0][0]])
    learner, ours = Learner(job), getattr(catalogue, model)()
    for number, (features, label) in enumerate(rows):
        key, value = learner.handle((str(number), features, label))
        prediction = json.loads(value)
        assert (key, prediction["event_id"]) == (str(number), str(number))
        expected = ours.predict_proba_one(features)
        assert prediction["probability"] == pytest.approx(expected.get(True, 0.0), abs=1e-12)
        ours.learn_one(features, label)
    assert 0.5 < learner.metric.get() <= 1


@pytest.mark.parametrize("contestant", ["quix", "bytewax"])
def test_peers_run_the_same_river(contestant):
    """Every environment pins the River that Millrace is tested with."""
    pinned = re.compile(r"^river==(\S+)", re.MULTILINE)
    ours = pinned.findall((REPOSITORY / "requirements.lock").read_text())
    theirs = pinned.findall((REPOSITORY / f"bench/requirements-{contestant}.txt").read_text())
    assert theirs == ours
    assert len(ours) == 1
