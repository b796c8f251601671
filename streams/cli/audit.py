"""`millrace audit`: who changed what a pipeline does, and whether the trail of it is whole."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.text import Text

from millrace.streams.cli.console import output
from millrace.streams.cli.options import (
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
)
from millrace.streams.escaping import printable, printable_json
from millrace.streams.formats.json import to_json
from millrace.streams.kafka.clients import KafkaClients
from millrace.streams.settings import Settings

if TYPE_CHECKING:
    from millrace.schemas.records import Audit
    from millrace.streams.tools.audit import Verification

EXIT_BROKEN = 1
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(rf"(\d{{1,5}})([{''.join(_UNITS)}])")
_COLOURS = {"refused": "red", "no_effect": "yellow", "reset": "yellow", "replaced": "yellow"}
_EXAMPLES = """\b
Examples:
  millrace audit -p pipeline.py -b localhost:9092 --since 2h
  millrace audit -p pipeline.py -b localhost:9092 --json | jq 'select(.action == "refused")'
  millrace audit -p pipeline.py -b localhost:9092 --verify"""


class _Since(click.ParamType):
    """A time in ISO 8601, or how long ago."""

    name = "TIME"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        duration = _DURATION.fullmatch(value)
        if duration:
            number, unit = duration.groups()
            return datetime.now(UTC) - timedelta(**{_UNITS[unit]: int(number)})
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"must be a time such as 2026-11-26T13:00 or 2h; got {value!r}", param, ctx)
        return time if time.tzinfo else time.replace(tzinfo=UTC)


@click.command(epilog=_EXAMPLES)
@pipeline_option
@running_broker
@click.option("--since", type=_Since(), help="Only what came later: an ISO time, or 2h, 3d.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--verify", "is_check", is_flag=True, help="Check that the trail is whole instead.")
@pass_settings
def audit(settings: Settings, since: datetime | None, as_json: bool, is_check: bool) -> int:
    """Show who changed what a pipeline does, or check that the trail is whole.

    Entries of all partitions are in order of time: of the record that led to the entry.

    --verify finds what was changed, removed, added or put in another order. It compares the trail
    with the saved state of the agents that write it, which is signed: set MILLRACE_STATE_KEY as
    for the workers. Without a key, a tail that was cut off is not seen, nor a chain that somebody
    else wrote as a whole. The exit code is 0 where all is sound, and 1 where it is not.
    """
    require_broker(settings)
    if is_check and since is not None:
        raise click.UsageError("--verify checks the whole trail; leave out --since")
    pipeline = settings.load_pipeline()
    from millrace.streams.kafka.registry import read_outputs
    from millrace.streams.state.keys import state_key_if_any
    from millrace.streams.tools.audit import read_trail, saved_states, verify
    from millrace.streams.topology.topics import topic_prefix

    clients, outputs = KafkaClients(settings), read_outputs(settings)
    if is_check:
        key = state_key_if_any(settings)
        states = None if key is None else saved_states(clients, pipeline, key)
        found = verify(read_trail(clients, pipeline, outputs), states, topic_prefix(pipeline))
        click.echo(to_json(asdict(found)) if as_json else _report(found, has_key=key is not None))
        return EXIT_BROKEN if found.breaks else 0
    entries = read_trail(clients, pipeline, outputs).in_order_of_time()
    first_ms = since.timestamp() * 1000 if since else float("-inf")
    later = [each.value for each in entries if each.value["time_ms"] >= first_ms]
    if as_json:
        for each in later:
            click.echo(printable_json(to_json(each)))
    else:
        _show(later)
    return 0


def _show(entries: Iterable[Audit]) -> None:
    """Print a line for each entry, in columns."""
    rows = [(_cells(each), _COLOURS.get(each["action"], "green")) for each in entries]
    widths = [max(map(len, column)) for column in zip(*(cells for cells, _ in rows), strict=True)]
    console = output()
    for (time, writer, what, who, detail), colour in rows:
        styled = ((time, "dim"), (writer, ""), (what, colour), (who, "bold"))
        line = Text("  ").join(
            Text(cell.ljust(width), style)
            for (cell, style), width in zip(styled, widths, strict=False)
        )
        console.print(line.append(f"  {detail}"), soft_wrap=True)


def _cells(entry: Audit) -> tuple[str, ...]:
    """Return time, writer, what was done, who did it, and the rest of an entry, each on a line."""
    before, after = entry["before"], entry["after"]
    evidence = [f"{name}={value}" for name, value in entry["evidence"].items()]
    rest = [
        *([f"{before or '-'} -> {after or '-'}"] if before or after else []),
        *([entry["why"]] if entry["why"] else []),
        *([", ".join(evidence)] if evidence else []),
        f"{entry['topic']}[{entry['partition']}]@{entry['offset']}",
    ]
    cells = (
        _time(entry["time_ms"]),
        f"{entry['writer']}[{entry['partition']}] {entry['number']}",
        f"{entry['subject']} {entry['action']}",
        entry["who"] or "-",
        "; ".join(rest),
    )
    return tuple(printable(each, keep="") for each in cells)


def _time(time_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):  # whoever wrote it, it is to be seen
        return str(time_ms)


def _report(found: Verification, has_key: bool) -> str:
    """Return each break on a line, and a summary."""
    lines = [f"{each.where} {each.what}" for each in found.breaks]
    result = f"{len(lines)} breaks" if lines else "no break, no gap"
    if len(lines) == 1:
        result = "1 break"
    if not has_key:
        result += "; not compared with the state of the writers: MILLRACE_STATE_KEY is not set"
    elif found.unsaved:
        result += f"; no state saved yet of {', '.join(found.unsaved)}"
    summary = (
        f"{found.records:,} records by {found.writers} writers in {found.partitions} partitions:"
        f" {result}"
    )
    return "\n".join(printable(each, keep="") for each in [*lines, summary])
