"""What a replay made of a table, for people: shown before the run, with what changes it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from millrace.models.tables.columns import span
from millrace.models.tables.inference import Inferred
from millrace.models.tables.rows import field_names
from millrace.streams.replay.source import Source

_MOST_FEATURES = 8


def print_inferred(source: Source, found: Inferred, console: Console) -> None:
    """Print the pipeline that was made from a table, and what looks wrong about the table."""
    rows, columns = source.frame.shape
    console.print(f"{source.name}: {rows:,} rows, {columns:,} columns", style="bold")
    for what, value, options in (
        ("task", f"{found.task.value}{_positive(found)}", "--task" + _option(found)),
        ("id", _column(found.event_id, found, "the number of the row"), "--id"),
        (
            "time",
            _column(found.event_time, found, "the time of the replay") + _span(found),
            "--time",
        ),
        ("features", _features(found.kinds), "--exclude"),
    ):
        console.print(f"  {what:<10}{value} ({options})", soft_wrap=True)
    print_notes((*source.notes, *found.notes), console)


def print_notes(notes: Iterable[str], console: Console) -> None:
    """Print what was made of a file, and what looks wrong about it."""
    for note in notes:
        console.print(f"Note: {note}", style="yellow", soft_wrap=True)


def _positive(found: Inferred) -> str:
    return f", {found.label} is true where it is {found.positive!r}" if found.positive else ""


def _option(found: Inferred) -> str:
    return ", --positive" if found.positive else ""


def _column(name: str | None, found: Inferred, otherwise: str) -> str:
    return otherwise if name is None or name not in field_names(found.frame.columns) else name


def _span(found: Inferred) -> str:
    if found.event_time is None:
        return ""
    times = found.frame.iloc[:, field_names(found.frame.columns).index(found.event_time)]
    return f", {span(times)}"


def _features(kinds: dict[str, str]) -> str:
    shown = [f"{name} ({kind})" for name, kind in kinds.items()]
    more = len(shown) - _MOST_FEATURES
    return ", ".join(shown[:_MOST_FEATURES]) + (f" and {more:,} more" if more > 0 else "")
