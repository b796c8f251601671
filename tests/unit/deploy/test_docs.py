"""The documentation agrees with the code: nothing is missing or extra, and links lead somewhere."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import click
import pytest
from prometheus_client.metrics_core import Metric

import millrace
from millrace import DriftSettings, Pending, Pipeline, load_pipeline
from millrace.schemas import Fate, RejectReason
from millrace.streams.cli import cli
from millrace.streams.settings import Settings
from millrace.streams.topology.topics import TOPICS, Topic

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(each for each in DOCS.rglob("*.md") if "_build" not in each.parts)
TEXTS = [*PAGES, *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY"))]
WITH_PIPELINES = ("README.md", "docs/how-to/pipeline.md", "docs/how-to/own-model.md")

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _rows(page: str) -> Iterator[list[str]]:
    """Return the cells of each row that begins with a name in code."""
    for line in (DOCS / page).read_text().splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def _codes(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def _blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of code on a page that are in one language."""
    found = _BLOCK.findall(page.read_text())
    return [textwrap.dedent(body) for _, each, body in found if each == language]


def test_every_metric_is_documented(exposed: list[Metric]) -> None:
    """Name, type and labels in the reference are those of the exposition."""
    documented = {
        (*_codes(name), kind, *sorted({*_codes(labels), "pipeline"}))
        for name, kind, labels, _ in _rows("reference/metrics.md")
    }
    assert documented == {_as_documented(family) for family in exposed}


def _as_documented(family: Metric) -> tuple[str, ...]:
    labels = {label for sample in family.samples for label in sample.labels} - {"le"}
    suffix = "_total" if family.type == "counter" else ""
    return (family.name + suffix, family.type, *sorted(labels))


def test_every_setting_is_documented_with_its_default() -> None:
    """Variable and default in the reference are those of the settings."""
    rows = [*_rows("reference/configuration.md")]
    documented = {_codes(row[0]).pop(): row[1].strip("`") for row in rows}
    assert documented == {
        _variable(name): _shown(field.get_default(call_default_factory=True))
        for name, field in Settings.model_fields.items()
    }


def _variable(name: str) -> str:
    return name.upper() if name == "schema_registry_url" else f"MILLRACE_{name.upper()}"


def _shown(default: object) -> str:
    secret = getattr(default, "get_secret_value", None)
    value = default if secret is None else secret()
    return "none" if value in ("", {}) else str(getattr(value, "value", value))


def _cleanup(topic: Topic) -> str:
    if topic.is_kept:
        return "delete (kept for ever)"
    if topic.is_kept_long:
        return "delete (kept ten times as long)"
    return "compact" if topic.is_compacted else "delete"


def test_every_topic_is_documented() -> None:
    """The reference lists topics in the order of the flow: who may read them, key and cleanup."""
    documented = [(*_codes(row[0]), *row[1:4]) for row in _rows("reference/topics.md")]
    known = TOPICS.values()
    assert documented == [(each.name, each.use.value, each.key, _cleanup(each)) for each in known]


def test_the_schemas_of_public_topics_are_shown() -> None:
    """The reference includes the schema of each record that users produce or consume."""
    text = (DOCS / "reference/topics.md").read_text()
    public = {kind for each in TOPICS.values() if each.use != "internal" for kind in each.types}
    for kind in public:
        assert f"schemas/{kind.lower()}.avsc" in text


def test_every_fate_is_documented() -> None:
    """The reference lists each fate of a label or an event once."""
    documented = [row[0].strip("`") for row in _rows("reference/labels.md")]
    assert sorted(documented) == sorted(Fate)


def test_every_reject_reason_is_documented() -> None:
    """The reference lists each reason once, in the order of the code."""
    documented = [row[0].strip("`") for row in _rows("reference/rejects.md")]
    assert documented == [*RejectReason]


def test_every_public_name_is_in_the_reference() -> None:
    """Each name of `millrace.__all__` has an entry that is made from its docstring."""
    text = (DOCS / "reference/api.md").read_text()
    entries = re.findall(r"^\.\. (?:auto\w+|py:data):: (?:millrace\.)?(\w+)\W", text, re.MULTILINE)
    for name in millrace.__all__:
        assert name in entries
    assert isinstance(millrace.catalogue, ModuleType)
    assert f":: {millrace.catalogue.__name__}\n" in text


@pytest.mark.parametrize("kind", [Pipeline, Pending, DriftSettings])
def test_a_signature_in_the_reference_is_true(kind: type) -> None:
    """Parameters and defaults of a definition are those of its class."""
    text = (DOCS / "reference/api.md").read_text()
    signature = re.search(rf":: {kind.__name__}(\(.*\))$", text, re.MULTILINE)
    assert signature is not None
    (function,) = ast.parse(f"def f{signature[1]}: ...").body
    assert isinstance(function, ast.FunctionDef)
    names = {**vars(millrace), "datetime": datetime, "timedelta": timedelta, "UTC": UTC}
    names |= {"DriftSettings": DriftSettings, "Pending": Pending}
    documented = {
        each.arg: MISSING if default is None else eval(ast.unparse(default), names)
        for each, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    }
    assert documented == {
        each.name: each.default if each.default_factory is MISSING else each.default_factory()
        for each in fields(kind)
    }


@pytest.mark.parametrize("page", TEXTS, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that exists, and a heading that it has."""
    for link in _LINK.findall(_BLOCK.sub("", page.read_text())):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in _anchors(file), link


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_page_is_in_a_table_of_contents() -> None:
    """Each page is in the `toctree` of the start page, or of its folder's index."""
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for entries in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            for entry in (line for line in entries.split() if not line.startswith(":")):
                listed |= {*page.parent.glob(f"{entry}.md")}
    assert {*PAGES} == listed


@pytest.mark.parametrize("page", TEXTS, ids=_name)
def test_python_in_a_page_compiles(page: Path) -> None:
    """Each block of Python is correct syntax."""
    for block in _blocks(page, "python"):
        compile(block, _name(page), "exec")


@pytest.fixture
def beside_pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with the schemas and the pipeline that the pages speak of."""
    (schema,) = _blocks(DOCS / "how-to/pipeline.md", "json")
    (tmp_path / "payments.avsc").write_text(schema)
    (tmp_path / "payments.py").write_text(_pipelines(DOCS / "how-to/pipeline.md")[0])
    loans = ROOT / "models/pipelines/loans.avsc"
    (tmp_path / "loans.avsc").write_text(loans.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # loading a pipeline appends its folder
    return tmp_path


def _pipelines(page: Path) -> list[str]:
    return [each for each in _blocks(page, "python") if "\npipeline = Pipeline(" in each]


@pytest.mark.parametrize("page", WITH_PIPELINES)
def test_pipelines_in_pages_load(page: str, beside_pipelines: Path) -> None:
    """Each pipeline that a page shows is valid, with the schema that the pages show."""
    shown = _pipelines(ROOT / page)
    assert shown
    for block in shown:
        (beside_pipelines / "shown.py").write_text(block)
        assert load_pipeline("shown.py").models


def test_the_features_of_the_guide_work(beside_pipelines: Path) -> None:
    """The feature with state of its own sees the difference from the last amount of a card."""
    source = "\n".join(_blocks(DOCS / "how-to/own-features.md", "python"))
    names: dict[str, Callable[..., millrace.Feature]] = {}
    exec(source, names)
    pipeline = load_pipeline("payments.py")
    own = millrace.Pipeline(
        name="own",
        schema=pipeline.schema,
        event_id="payment_id",
        key="card",
        task="binary",
        models=pipeline.models,
        features=[names["ChangeOfAmount"]()],
    )
    base = {"card": "c", "paid_at": 0, "country": "CH"}
    rows = [{**base, "payment_id": str(n), "amount": float(n)} for n in (1, 4)]
    seen = [each["features"] for each in millrace.run(own, rows).predictions]
    assert seen == [{}, {"amount_change": 3.0}]


def test_the_test_of_the_guide_passes(beside_pipelines: Path) -> None:
    """The guide's rows run, and its test of a pipeline does what it says."""
    source = "\n".join(_blocks(DOCS / "how-to/test-a-pipeline.md", "python"))
    names: dict[str, Callable[..., object]] = {}
    exec(source, names)
    names["test_a_second_payment_counts_in_the_window"]()


@pytest.mark.parametrize("page", TEXTS, ids=_name)
def test_commands_in_a_page_exist(page: Path) -> None:
    """Each `millrace` command line names a command, and options that it has."""
    for command, options in _commands(page):
        known = cli.get_command(click.Context(cli), command)
        assert known is not None, command
        has = {name for each in known.params for name in (*each.opts, *each.secondary_opts)}
        assert options <= has | {"--help"}, command


def _commands(page: Path) -> Iterator[tuple[str, set[str]]]:
    text = "\n".join(_blocks(page, "console") + _blocks(page, "bash")).replace("\\\n", " ")
    for line in text.splitlines():
        for part in re.split(r"[|;]", line.partition(" #")[0]):
            found = re.match(r"(?:\$ )?(?:\.venv/bin/)?millrace (\w+)(.*)", part.strip())
            if found:
                yield found[1], set(re.findall(r"(?<= )--[\w-]+", found[2]))


def test_decisions_are_numbered_and_on_their_index() -> None:
    """Each decision has the four parts that a decision has, a number of its own, and a link."""
    pages = sorted((DOCS / "decisions").glob("0*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    index = (DOCS / "decisions/index.md").read_text()
    for number, page in enumerate(pages, 1):
        title, *_ = text = page.read_text().splitlines()
        for part in ("## Context", "## Decision", "## Measured", "## Consequences"):
            assert part in text, page.name
        assert title.startswith(f"# {number}. "), page.name
        assert f"\n{title.removeprefix('# ').replace('. ', '. [', 1)}]({page.name})" in index


def test_what_builds_the_pages_is_locked() -> None:
    """Every requirement has one version, the tested one, its hashes, and no address."""
    text = (DOCS / "requirements.lock").read_text()
    pins = dict(re.findall(r"^(\S+)==(\S+) ", text, re.MULTILINE))
    tested = dict(
        re.findall(r"^(\S+)==(\S+) ", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    for name in (DOCS / "requirements.in").read_text().splitlines()[1:]:
        assert name in pins
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    assert {name: pins[name] for name in pins.keys() & tested} == {
        name: tested[name] for name in pins.keys() & tested
    }
