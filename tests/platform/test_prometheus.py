"""Prometheus itself takes the rules, and finds data for every panel while a worker works."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from dev.debian import find
from dev.fetched import UnavailableError
from dev.kafka import free_port
from millrace.streams.demo.script import Kind, Plan, script
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.settings import Settings
from tests.conftest import NOT_TESTED
from tests.integration.clients import Topics
from tests.integration.workers import STATE_KEY, Worker, wait_for

pytestmark = pytest.mark.platform

DEPLOY = Path(__file__).parents[2] / "deploy"
PLAN = Plan(events=3_000, rate=1_000)
WINDOW = "1m"
"""What the dashboard's rates are taken over: the whole of this test."""

CERTAIN = """\
from dataclasses import replace

from millrace import Conformal
from millrace.models.pipelines import loans

pipeline = replace(loans.pipeline, certainty=Conformal())
"""

Ask = Callable[[str, dict[str, str]], Any]


@pytest.fixture(scope="module")
def tool() -> Callable[[str], str]:
    """Find a tool, or skip, and say why."""

    def path(name: str) -> str:
        try:
            return find(name, package="prometheus")
        except UnavailableError as error:
            pytest.skip(f"{NOT_TESTED} WITH PROMETHEUS: {error}")

    return path


def test_prometheus_takes_the_rules(tool: Callable[[str], str]) -> None:
    """Its own checker finds nothing wrong with them."""
    assert _promtool(tool, "check", "rules", "alerts.yml") == 0


def test_alerts_fire_when_they_should_and_say_what_they_should(tool: Callable[[str], str]) -> None:
    """Of every rule there is an example in which it fires, and one in which it does not."""
    assert _promtool(tool, "test", "rules", "alerts.test.yml") == 0


def _promtool(tool: Callable[[str], str], *arguments: str) -> int:
    done = subprocess.run(
        [tool("promtool"), *arguments], cwd=DEPLOY / "prometheus", timeout=60, check=False
    )
    return done.returncode


@pytest.fixture(scope="module")
def ask(tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask a Prometheus that has scraped a worker while it worked."""
    certain = tmp_path_factory.mktemp("pipeline") / "certain.py"
    certain.write_text(CERTAIN)
    settings = {
        "pipeline": str(certain),
        "state_key": STATE_KEY,
        "flush_seconds": 1,
    }
    with EmbeddedBroker() as broker, Worker(Settings(broker=broker.address, **settings)) as worker:
        worker.wait_ready()
        folder = tmp_path_factory.mktemp("prometheus")
        with _prometheus(tool("prometheus"), worker.web_port, folder) as asked:
            _send(Topics(broker.bootstrap, "loans"))
            worker.wait_total(PLAN.events, "millrace_predictions_total")
            sleep(3)  # some scrapes more
            yield asked


def _send(topics: Topics) -> None:
    """Send what the demo sends, for some seconds."""
    sent = [*script(PLAN)]
    each = len(sent) // 8 + 1
    for start in range(0, len(sent), each):
        for kind, value in sent[start : start + each]:
            topics.produce("labels" if kind is Kind.LABEL else "events", [{"value": value}])
        sleep(1)


@contextmanager
def _prometheus(command: str, scraped: int, folder: Path) -> Iterator[Ask]:
    port = free_port()
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus/alerts.yml")]
    targets = [{"targets": [f"127.0.0.1:{scraped}"]}]
    config["scrape_configs"] = [{"job_name": "shop", "static_configs": targets}]
    (folder / "prometheus.yml").write_text(yaml.dump(config))

    def ask(path: str, parameters: dict[str, str]) -> Any:
        with urlopen(f"http://127.0.0.1:{port}/{path}?{urlencode(parameters)}", timeout=10) as got:
            return json.loads(got.read())["data"]

    def is_scraping() -> bool:
        try:
            return bool(ask("api/v1/query", {"query": "millrace_agent_up"})["result"])
        except OSError:
            return False

    with (folder / "log").open("w") as log:
        options = [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        process = subprocess.Popen([command, *options], stdout=log, stderr=log)
        try:
            wait_for(f"scrape; see {folder}/log", is_scraping)
            yield ask
        finally:
            process.terminate()
            process.wait(30)


def _panels() -> Iterator[Any]:
    dashboard = json.loads((DEPLOY / "grafana/dashboards/millrace.json").read_text())
    for panel in dashboard["panels"]:
        if "targets" in panel:
            yield pytest.param([each["expr"] for each in panel["targets"]], id=panel["title"])


@pytest.mark.parametrize("queries", [*_panels()])
def test_a_panel_has_data(queries: list[str], ask: Ask) -> None:
    """Of its queries, at least one has a number for an answer, with nothing gone wrong."""
    answers = [_numbers(ask, query) for query in queries]
    assert any(answers), queries


def _numbers(ask: Ask, query: str) -> list[float]:
    query = query.replace("$__rate_interval", WINDOW).replace("$pipeline", ".*")
    result = ask("api/v1/query", {"query": query})["result"]
    numbers = [float(each["value"][1]) for each in result]
    return [each for each in numbers if not math.isnan(each)]


def test_every_rule_is_evaluated(ask: Ask) -> None:
    """None fails at what a worker exposes, and no alert is critical while all is well."""
    (group,) = ask("api/v1/rules", {})["groups"]
    wrong = {each["name"]: each["lastError"] for each in group["rules"] if each.get("lastError")}
    firing = {each["name"] for each in group["rules"] if each["state"] == "firing"}
    assert wrong == {}
    assert all(each["health"] == "ok" for each in group["rules"])
    assert firing <= {"MillraceDrift", "MillraceCoverageLow", "MillraceEventsRejected"}


def test_series_say_only_what_is_asked_for(ask: Ask) -> None:
    """No series says when a counter was made, and every one names its pipeline."""
    names = ask("api/v1/label/__name__/values", {"match[]": '{__name__=~"millrace_.*"}'})
    assert names
    assert not [each for each in names if each.endswith("_created")]
    without = ask("api/v1/query", {"query": '{__name__=~"millrace_.*", pipeline=""}'})["result"]
    assert without == []
