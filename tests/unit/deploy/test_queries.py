"""Dashboard and alert rules ask for metrics and labels that a worker exposes, by their names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from millrace import Conformal
from millrace.models.pipelines import loans
from millrace.streams.api.pages import Pages, ProcessState
from millrace.streams.api.report import Report
from millrace.streams.kafka.fakes import FakeBroker
from millrace.streams.observability.scraping import Samples
from tests.unit.deploy.conftest import compared
from tests.unit.streams.runtime.worker import FakeWorker, work

_SELECTOR = re.compile(r"\b(millrace_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on|group_left)\s*\(([^)]*)\)")
_MADE = re.compile(r'label_replace\(.*?, "(\w+)", ')
_SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")
_OF_THE_SCRAPE = {"instance", "job", "process"}  # and of a worker of several processes

_EVENTS, _NOW_MS = 40, 1_800_000_000_000

LabelValues = Mapping[str, Mapping[str, set[str]]]


class Query(NamedTuple):
    """A PromQL expression, and the text that shows labels of its result."""

    expression: str
    shown: str

    def selectors(self) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
        """Return each metric with its matchers, as (label, operator, value)."""
        for name, matchers in _SELECTOR.findall(self.expression):
            yield name, _MATCHER.findall(matchers)

    def grouped(self) -> set[str]:
        """Return the labels that the expression groups and joins by."""
        return {
            label.strip()
            for labels in _GROUPING.findall(self.expression)
            for label in labels.split(",")
            if label.strip()
        }


@pytest.fixture(scope="module")
def page() -> Samples:
    """Give what a worker exposes after a few loans, whose labels are with them, and a save."""
    broker, name = FakeBroker(), loans.pipeline.name
    worker = FakeWorker(broker, replace(loans.pipeline, certainty=Conformal()))
    worker.engine()
    session = worker.start()
    for each in loans.applications(_EVENTS):
        broker.put(f"{name}.events", json.dumps(each).encode(), timestamp_ms=_NOW_MS)
    work(session)
    worker.pass_time()
    session.poll(1)  # saves what is due
    worker.metrics.watch("selection", 0, compared())
    report = Report(name, worker.metrics.render().decode())
    answer = Pages(lambda: [ProcessState(1, report, 0.5)]).answer("/metrics")
    return Samples.parse(answer.body.decode())


def _dashboard() -> dict[str, Any]:
    path = Path(__file__).parents[3] / "deploy/grafana/dashboards/millrace.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _rules() -> list[dict[str, Any]]:
    path = Path(__file__).parents[3] / "deploy/prometheus/alerts.yml"
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def _queries() -> Iterator[Any]:
    for panel in _dashboard()["panels"]:
        for target in panel.get("targets", []):
            query = Query(target["expr"], target["legendFormat"])
            yield pytest.param(query, id=f"{panel['title']}-{target['refId']}")
    for annotation in _dashboard()["annotations"]["list"]:
        query = Query(annotation["expr"], annotation["textFormat"])
        yield pytest.param(query, id=f"annotation-{annotation['name']}")
    for rule in _rules():
        text = rule["annotations"]["summary"] + rule["annotations"]["description"]
        yield pytest.param(Query(rule["expr"], text), id=rule["alert"])


@pytest.mark.parametrize("query", [*_queries()])
def test_a_query_asks_for_what_is_exposed(query: Query, label_values: LabelValues) -> None:
    """Each metric, each label on it and each value asked for exactly is one that there is."""
    for name, matchers in query.selectors():
        assert name in label_values
        for label, operator, value in matchers:
            assert label in label_values[name], name
            if operator in {"=", "!="} and not value.startswith("$"):
                assert value in label_values[name][label], (name, label)


@pytest.mark.parametrize("query", [*_queries()])
def test_a_query_groups_by_and_shows_labels_that_are_left(
    query: Query, label_values: LabelValues
) -> None:
    """Grouping uses labels of the metrics asked for; what is shown survives the grouping."""
    labels = {label for name, _ in query.selectors() for label in label_values[name]}
    labels |= _OF_THE_SCRAPE | set(_MADE.findall(query.expression))
    assert query.grouped() <= labels
    left = query.grouped() & labels if " by " in query.expression else labels
    assert set(_SHOWN.findall(query.shown)) <= left


def test_the_dashboard_shows_every_metric(exposed: list[Metric]) -> None:
    """No metric is exposed that nobody would look at."""
    asked = {name for query in _queries() for name, _ in query.values[0].selectors()}
    for family in exposed:
        assert any(sample.name in asked for sample in family.samples), family.name


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    """Each panel has an id and a place of its own on the grid of 24 columns."""
    panels = _dashboard()["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        rows = range(grid["y"], grid["y"] + grid["h"])
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in rows}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_panels_ask_the_data_source_that_is_provisioned(repository: Path) -> None:
    """The uid in the dashboard is the one of the provisioned data source."""
    path = repository / "deploy/grafana/provisioning/datasources/prometheus.yml"
    (source,) = yaml.safe_load(path.read_text())["datasources"]
    asked = [panel["datasource"]["uid"] for panel in _dashboard()["panels"] if "targets" in panel]
    assert set(asked) == {source["uid"]}


def test_the_dashboard_lists_pipelines_by_a_metric_that_there_is(
    label_values: LabelValues,
) -> None:
    """The variable `pipeline` is filled from a label of a metric."""
    (variable,) = _dashboard()["templating"]["list"]
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
    assert variable["name"] == label
    assert label in label_values[name]


def test_alerts_say_how_bad_it_is_and_what_to_do() -> None:
    """Each rule has a name of its own, a severity, a summary and a description."""
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["alert"].startswith("Millrace")
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_each_alert_has_an_example_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """`promtool test rules` tries them where Prometheus is installed: see tests/integration."""
    path = Path(__file__).parents[3] / "deploy/prometheus/alerts.test.yml"
    document = yaml.safe_load(path.read_text())
    tried = [each for test in document["tests"] for each in test["alert_rule_test"]]
    names = {rule["alert"] for rule in _rules()}
    assert {each["alertname"] for each in tried if each.get("exp_alerts")} == names
    assert {each["alertname"] for each in tried if not each.get("exp_alerts")} == names


def test_no_rule_names_a_job() -> None:
    """Workers are known by what they expose, whatever their job is called."""
    for rule in _rules():
        assert not re.search(r"\bjob\s*[=!]", rule["expr"]), rule["alert"]


def test_every_panel_has_data_when_nothing_has_gone_wrong(page: Samples) -> None:
    """Each shows at least one metric that a worker exposes after a few events and labels."""
    for panel in _dashboard()["panels"]:
        targets = [Query(each["expr"], "") for each in panel.get("targets", [])]
        found = [all(_is_there(page, *each) for each in query.selectors()) for query in targets]
        assert any(found) or not targets, panel["title"]


def _is_there(page: Samples, name: str, matchers: list[tuple[str, str, str]]) -> bool:
    labels = {label: value for label, operator, value in matchers if operator == "="}
    return any(page.select(name, **labels))
