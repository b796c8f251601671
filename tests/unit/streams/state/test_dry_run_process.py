"""The dry run has a process of its own, and whatever user code does there, it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from millrace.models.bundles.collecting import collect
from millrace.schemas import DefinitionError
from millrace.streams.state.dry_run_process import tried

SOURCE = """
import os, time
from river import base, compose, linear_model
from millrace import Pipeline, fields

SCHEMA = {"type": "record", "name": "V", "fields": [
    {"name": "id", "type": "string"}, {"name": "a", "type": "double"},
    {"name": "y", "type": ["null", "boolean"], "default": None}]}


class Own(base.Classifier):
    def learn_one(self, x, y):
        BODY

    def predict_one(self, x):
        return True


pipeline = Pipeline(name="v", schema=SCHEMA, event_id="id", label="y", task="binary",
    models={"m": MODEL})
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setattr("sys.path", [*sys.path])

    def write(body: str = "pass", model: str = "Own") -> str:
        path = tmp_path / "tried_pipeline.py"
        path.write_text(SOURCE.replace("BODY", body).replace("MODEL", model))
        return str(path)

    return write


def test_what_is_right_has_no_warning(write: Callable[..., str]) -> None:
    """What user code prints there is not shown."""
    assert tried(write("print('noise')")) == []


def test_a_bundle(write: Callable[..., str]) -> None:
    """It is loaded in the child alone, which says what is wrong with it."""
    spec = write("print('noise')")
    bundle = collect(spec)
    Path(spec).unlink()
    assert tried(bundle) == []
    broken = replace(bundle, files=dict.fromkeys(bundle.files, "1 / 0"))
    with pytest.raises(DefinitionError, match=r"here/tried_pipeline.py:1: ZeroDivisionError"):
        tried(broken)


def test_an_error_is_raised_here(write: Callable[..., str]) -> None:
    """The child only finds it."""
    model = "lambda: compose.FuncTransformer(lambda x: x) | linear_model.LogisticRegression()"
    with pytest.raises(DefinitionError, match=r"^models\['m'\]\.steps\['<lambda>'\]\.func must be"):
        tried(write(model=model))


def test_a_model_that_hangs_is_killed(write: Callable[..., str]) -> None:
    """What it was trying is a warning; nothing waits for it."""
    start = time.monotonic()
    warning = "models['m'] took too long on made-up events, and was not tried out"
    assert tried(write("while True: pass"), seconds=2.0) == [warning]
    assert time.monotonic() - start < 15


@pytest.mark.parametrize("body", ["os._exit(3)", "os.kill(os.getpid(), 11)", "os.abort()"])
def test_a_model_that_ends_its_process(body: str, write: Callable[..., str]) -> None:
    """It does not end this one; pytest's own report of a crash is turned off there."""
    body = f"import faulthandler; faulthandler.disable(); {body}"
    assert tried(write(body)) == ["the process ended that tried models['m'] on made-up events"]


def test_a_slow_model_is_tried_for_two_seconds(write: Callable[..., str]) -> None:
    """0.3 s an event is no error."""
    assert tried(write("time.sleep(0.3)")) == []
