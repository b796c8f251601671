"""The reference pages are complete: no metric and no setting without its line, and none extra."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import Metric

from millrace.streams.settings import Settings

_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def _table(path: Path) -> Iterator[list[str]]:
    """Return the cells of each row that begins with a name in code."""
    for line in path.read_text().splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def _codes(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def test_every_metric_is_documented(exposed: list[Metric], repository: Path) -> None:
    """Name, type and labels in docs/metrics.md are those of the exposition."""
    documented = {
        (*_codes(name), kind, *sorted(_codes(labels)))
        for name, kind, _, labels, _ in _table(repository / "docs/metrics.md")
    }
    there = {_as_documented(family) for family in exposed}
    assert documented == there


def _as_documented(family: Metric) -> tuple[str, ...]:
    labels = {label for sample in family.samples for label in sample.labels} - {"le"}
    suffix = "_total" if family.type == "counter" else ""
    return (family.name + suffix, family.type, *sorted(labels))


def test_every_setting_is_documented_with_its_default(repository: Path) -> None:
    """Variable and default in docs/configuration.md are those of the settings."""
    rows = [*_table(repository / "docs/configuration.md")]
    documented = {_codes(row[0]).pop(): row[1].strip("`") for row in rows}
    there = {_variable(name): _shown(default) for name, default in _defaults()}
    assert documented == there


def _defaults() -> Iterator[tuple[str, Any]]:
    for name, field in Settings.model_fields.items():
        yield name, field.get_default(call_default_factory=True)


def _variable(name: str) -> str:
    return name.upper() if name == "schema_registry_url" else f"MILLRACE_{name.upper()}"


def _shown(default: Any) -> str:
    value = default.get_secret_value() if hasattr(default, "get_secret_value") else default
    return str(getattr(value, "value", value)) if value not in ("", {}) else "none"


def test_links_between_pages_lead_somewhere(repository: Path) -> None:
    """Every relative link in docs/ names a file that exists."""
    for page in (repository / "docs").rglob("*.md"):
        for target in _LINK.findall(page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_decisions_are_numbered_and_on_the_map(repository: Path) -> None:
    """Each decision has the four parts that a decision has, a number of its own, and a link."""
    pages = sorted((repository / "docs/decisions").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    assert numbers == [f"{n:04}" for n in range(1, len(pages) + 1)]
    index = (repository / "docs/index.md").read_text()
    for page in pages:
        text = page.read_text()
        for part in ("## Context", "## Decision", "## Measured", "## Consequences"):
            assert part in text, page.name
        assert f"(decisions/{page.name})" in index
