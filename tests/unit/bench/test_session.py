"""What the parts share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.broker import Broker
from bench.session import Session

REAL = Broker("127.0.0.1:9092", "a broker", True)
EMBEDDED = Broker("127.0.0.1:9092", "a broker", False)


def session_on(broker: Broker, **options) -> Session:
    given = {"rounds": 1, "models": (), "contestants": (), "events": None, "limit_seconds": 1.0}
    more = {"load_seconds": 1.0, "shares": (), "keys": ()}
    more |= {"label_delay": 500, "baseline_checkout": None, "axes": (), "largest": 1}
    return Session(broker=broker, **{**given, **more, **options})


@pytest.mark.parametrize(
    ("broker", "chosen", "found"),
    [
        (REAL, (), ["full", "full-eos"]),
        (EMBEDDED, (), ["full"]),
        (REAL, ("quix", "split-eos"), ["quix", "split-eos"]),
        (EMBEDDED, ("quix", "split-eos", "quix-equal"), ["quix"]),
    ],
)
def test_only_a_real_kafka_has_transactions(broker, chosen, found):
    """Contestants that need them are left out elsewhere, chosen or not."""
    session = session_on(broker, contestants=chosen)
    assert [*session.choose(("full", "full-eos"))] == found


def test_another_checkout_takes_turns_with_this_one(tmp_path):
    """Millrace's contestants run twice, once with the package of the other; the others run once."""
    session = session_on(REAL, baseline_checkout=tmp_path)
    assert session.choose(("full", "quix")) == ["full", "full-before", "quix"]
    job = session.job("hoeffding_tree")
    env, path, *command = session.command("full-before")(job)
    package = Path(path.removeprefix("PYTHONPATH=").split(os.pathsep)[0]) / "millrace"
    assert (env, package.readlink()) == ("env", tmp_path / "millrace")
    assert command[:4] == session.command("full")(job)[:4]


@pytest.mark.parametrize(
    ("broker", "events", "model", "count"),
    [
        (REAL, None, "logistic_regression", 90_000),
        (REAL, None, "adaptive_random_forest", 4_000),
        (REAL, 7_000, "adaptive_random_forest", 7_000),
        (EMBEDDED, None, "hoeffding_tree", 5_000),
        (EMBEDDED, 300, "hoeffding_tree", 300),
    ],
)
def test_a_run_has_as_many_events_as_suit(broker, events, model, count, monkeypatch):
    """By model or by option, and never more than the embedded broker keeps."""
    monkeypatch.delenv("ELEC2", raising=False)
    job = session_on(broker, events=events).job(model)
    assert (job.model, job.events) == (model, count)
    assert job.embedded is not broker.is_real
    assert len(job.features) == 8


def test_jobs_have_names_of_their_own(monkeypatch):
    """So no run reads the topics of another."""
    monkeypatch.delenv("ELEC2", raising=False)
    session = session_on(REAL)
    assert session.job("hoeffding_tree").name != session.job("hoeffding_tree").name


def test_a_failure_is_a_result(capsys):
    """The others are measured all the same."""

    def fail() -> dict[str, object]:
        raise RuntimeError("timed out")

    session = session_on(REAL)
    assert session.attempt({"contestant": "full"}, fail) == {"error": "timed out"}
    assert session.attempt({"contestant": "quix"}, lambda: {"seconds": 2.0}) == {"seconds": 2.0}
    assert session.results == [
        {"contestant": "full", "error": "timed out"},
        {"contestant": "quix", "seconds": 2.0},
    ]
    assert capsys.readouterr().out.splitlines() == [
        "contestant=full error=timed out",
        "contestant=quix seconds=2",
    ]


def test_a_mistake_in_the_benchmark_is_not_a_result():
    """It ends the benchmark."""
    with pytest.raises(ZeroDivisionError):
        session_on(REAL).attempt({}, lambda: {"seconds": 1 / 0})
