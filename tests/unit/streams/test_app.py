"""A worker is put together from its settings, and importing its module starts nothing."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest
import structlog
from structlog.testing import capture_logs

from millrace.schemas import RegistryError, SettingsError, SnapshotError, TopicError
from millrace.streams import app as module
from millrace.streams.app import create_app
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.settings import Settings

PIPELINE = "millrace.models.pipelines.loans"


@pytest.fixture
def broker():
    return FakeBroker()


@pytest.fixture
def clients(broker):
    return FakeClients(broker)


@pytest.fixture(autouse=True)
def on_fakes(clients, monkeypatch):
    """Give the worker fake clients, and a log that can be captured."""
    monkeypatch.setattr(module, "KafkaClients", lambda _settings: clients)
    monkeypatch.setattr(module, "_log", structlog.get_logger())
    monkeypatch.setenv("PYTHONHASHSEED", "0")


@pytest.fixture
def settings():
    return Settings(pipeline=PIPELINE, broker="fake", state_key="secret")


def test_a_worker_has_the_agents_of_its_chain(settings):
    """Each is run by an engine of the same name."""
    app = create_app(settings)
    names = ["ingest", "feature", "prediction-learning", "drift", "control", "selection"]
    assert [each.name for each in app.engines] == names
    assert [*app.agents] == names
    assert app.conf.id == "millrace-loans"
    assert app.embedded is None


def test_a_worker_reports_how_its_agents_are(settings):
    """Before it is started they wait for their partitions, and nothing fails."""
    report = create_app(settings).report()
    assert report.pipeline == "loans"
    names = ["ingest", "feature", "prediction-learning", "drift", "control", "selection"]
    assert report.waiting == names
    assert report.failing == {}
    assert 'millrace_agent_up{agent="drift",pipeline="loans"} 0.0' in report.metrics


def test_missing_topics_are_created(settings, broker):
    """With the partitions that are set."""
    create_app(settings.model_copy(update={"partitions": 2}))
    assert len(broker.topics["loans.events"]) == 2
    assert "loans.state.prediction-learning" in broker.topics


def test_a_registry_that_refuses_a_schema_comes_first(settings, broker, monkeypatch):
    """No topic is created then."""

    def refuse(_settings, prefix):
        raise RegistryError(f"it refuses {prefix}predictions-value")

    monkeypatch.setattr(module, "registered_outputs", refuse)
    with pytest.raises(RegistryError, match=r"refuses loans\.predictions-value"):
        create_app(settings)
    assert broker.topics == {}


def test_a_source_that_is_missing_comes_before_all(settings, broker, monkeypatch, tmp_path):
    """Nothing is registered or created then, and the name that is likely misspelt is told."""
    file = tmp_path / "attached_app.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from millrace import Source\n"
        "from millrace.models.pipelines.loans import pipeline\n"
        "pipeline = replace(pipeline, events=[Source('accounts')])\n"
    )
    monkeypatch.setattr(module, "registered_outputs", lambda *_: pytest.fail("it registers"))
    named = {"pipeline": str(file), "topics": {"acounts": "prod.accounts"}}
    with pytest.raises(TopicError, match="'acounts', which no source has: did you mean 'accounts'"):
        create_app(settings.model_copy(update=named))
    assert broker.topics == {}


def test_no_pipeline():
    """The error says how to name one."""
    with pytest.raises(SettingsError, match="pipeline must be"):
        create_app(Settings(broker="fake"))


def test_a_worker_without_the_hash_seed_of_all_warns(settings, monkeypatch):
    """As one that Faust's command line has started: a user's own model may differ there."""
    monkeypatch.delenv("PYTHONHASHSEED")
    with capture_logs() as logs:
        create_app(settings)
    assert "set PYTHONHASHSEED=0" in logs[0]["event"]


def test_a_variable_that_is_not_a_setting_is_logged(settings, monkeypatch):
    """It may be misspelt."""
    monkeypatch.setenv("MILLRACE_BROKERS", "x")
    with capture_logs() as logs:
        create_app(settings)
    assert [each["name"] for each in logs if each["log_level"] == "warning"] == ["MILLRACE_BROKERS"]


def test_an_embedded_broker_is_started_and_its_limits_are_logged(settings):
    """Clients connect to its address, and it lives as long as the app."""
    with capture_logs() as logs:
        app = create_app(settings.model_copy(update={"broker": "embedded"}))
    with app.embedded as broker:
        (line,) = (each for each in logs if "embedded" in each["event"])
        assert "at least once" in line["event"]
        assert f"embedded://{line['address']}" == broker.address


def test_engines_are_stopped_before_agents_and_closed_after(settings, monkeypatch):
    """So that no agent is restarted, and the last batch is committed."""
    app, calls = create_app(settings), []

    class Engine:
        def stop(self):
            calls.append("stop")

        async def close(self):
            calls.append("close")

    async def stop(_app):
        calls.append("Faust's stop")

    app.engines = (Engine(),)
    monkeypatch.setattr("faust.App.on_stop", stop)
    asyncio.run(app.on_stop())
    assert calls == ["stop", "Faust's stop"]
    asyncio.run(app.on_shutdown())
    assert calls[2:] == ["close"]


def test_state_that_is_refused_stops_the_process_and_is_said_once(settings, monkeypatch):
    """However many agents refuse theirs."""
    stopped = []
    monkeypatch.setattr("millrace.streams.app.stop_this_process", lambda: stopped.append(True))
    app = create_app(settings)
    with capture_logs() as logs:
        app.refuse(SnapshotError("the first"))
        app.refuse(SnapshotError("the second"))
    assert [each["reason"] for each in logs] == ["the first"]
    assert (app.is_refused, stopped) == (True, [True])


def test_engines_close_side_by_side(settings):
    """In an outage each takes as long as it may: one after another they would take too long."""
    app = create_app(settings)

    async def close_all():
        everybody = asyncio.Barrier(4)

        class Engine:
            async def close(self):
                await everybody.wait()

        app.engines = tuple(Engine() for _ in range(4))
        await asyncio.wait_for(app.on_shutdown(), 10)

    asyncio.run(close_all())


def test_the_log_of_fausts_own_worker_is_ours(settings, monkeypatch):
    """So that secrets are hidden in it, too."""
    configured = []
    monkeypatch.setenv("MILLRACE_STATE_KEY", "s3cret-0815")
    monkeypatch.setattr(module, "configure_logging", configured.append)
    worker = object.__new__(create_app(settings).conf.Worker)
    worker.on_setup_root_logger(None, 0)
    assert configured[0].secrets == ["s3cret-0815"]


def test_the_app_is_made_when_faust_asks_for_it(settings, monkeypatch):
    """`faust -A millrace.streams.app` finds it, with settings from the environment."""
    monkeypatch.setenv("MILLRACE_PIPELINE", PIPELINE)
    monkeypatch.setenv("MILLRACE_BROKER", "fake")
    monkeypatch.setenv("MILLRACE_STATE_KEY", "secret")
    monkeypatch.setenv("MILLRACE_WEB_PORT", "0")
    assert "app" not in vars(module)
    unraisable = sys.unraisablehook  # pytest's
    try:
        assert module.app is module.app
        assert module.app.conf.id == "millrace-loans"
        assert module.app.reporter is not None
    finally:
        vars(module).pop("app", None)
        sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
        sys.unraisablehook = unraisable
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        module.other  # noqa: B018 - looking it up is the test


def test_a_worker_lets_time_pass_where_no_events_come(settings):
    """Unless that is turned off, or the broker ends with the worker."""
    works = {
        changes: [type(each).__name__ for each in create_app(given).background]
        for changes, given in {
            "none": settings,
            "off": settings.model_copy(update={"tick_seconds": 0}),
            "embedded": settings.model_copy(update={"broker": "embedded://127.0.0.1:1"}),
        }.items()
    }
    assert works == {
        "none": ["InForceFollower", "Ticker"],
        "off": ["InForceFollower"],
        "embedded": ["InForceFollower"],
    }
