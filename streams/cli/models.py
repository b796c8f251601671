"""`millrace models`: every candidate, how it does, and whether another should serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from millrace.models.identity.reference import Reference
from millrace.streams.cli.console import output
from millrace.streams.cli.metric_table import as_utc, table_of
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
    from millrace.models.selection.contest import Standing
    from millrace.models.selection.evidence import Evidence
    from millrace.models.selection.promoter import Promoter
    from millrace.streams.tools.evaluations import Followed

_BAR = 6  # characters on each side
_MOST_GROUPS = 20  # that a table shows
_NO_GROUPS = (
    "There are no groups: name a feature, or the key, with promotion=Promotion(group=...), or wait"
    " for the first block of a hundred events."
)
_EXAMPLES = """\b
Examples:
  millrace models -p pipeline.py -b localhost:9092
  millrace models -p pipeline.py -b localhost:9092 --watch
  millrace models -p pipeline.py -b localhost:9092 --by-group
  millrace models -p pipeline.py -b localhost:9092 --json | jq .candidates"""


@click.command(epilog=_EXAMPLES)
@pipeline_option
@running_broker
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--by-group", is_flag=True, help="Show where each wins and loses: promotion.group.")
@click.option("--watch", "is_watched", is_flag=True, help="Go on, until Ctrl-C.")
@pass_settings
def models(settings: Settings, as_json: bool, by_group: bool, is_watched: bool) -> int:
    """Show every candidate, and whether another one should serve.

    All candidates are compared by the same events, in the order in which those came, since the
    champion serves. A difference is that of the losses, each in [0, 1]: with classes, 5.0 points
    are five errors fewer in a hundred events. Its interval holds at any time, with 95 %: look as
    often as you like. The bar shows how much of a proof there is, to the left that the candidate
    is worse, to the right that it is better by more than the margin; a full side is a proof. A
    lead that is proven has to show again, twice. What happens then, `promotion=` of the pipeline
    says; by default nothing does by itself.
    """
    require_broker(settings)
    if as_json and is_watched:
        raise click.UsageError("--watch shows a table; leave out --json")
    pipeline = settings.load_pipeline()
    from millrace.models.candidates.baselines import baselines
    from millrace.models.pipeline.tasks import Task
    from millrace.streams.kafka.registry import read_outputs
    from millrace.streams.tools.evaluations import as_data, follow_evaluations

    names = [*baselines(Task(pipeline.task))]
    found = follow_evaluations(KafkaClients(settings), pipeline, read_outputs(settings))

    def view(followed: Followed) -> Group | Text:
        if by_group:
            return _by_group(followed)
        return Group(_view(followed.promoter, names), *_certainty(followed), table_of(followed))

    with closing(found):
        if as_json:
            click.echo(printable_json(to_json(as_data(next(found), names))))
        elif is_watched:
            with Live(console=output(), auto_refresh=False) as live:
                for followed in found:
                    live.update(view(followed), refresh=True)
        else:
            output().print(view(next(found)), soft_wrap=True)
    return 0


def _view(promoter: Promoter, baselines: list[str]) -> Group:
    """Return a table, and what it means."""
    from millrace.streams.tools.evaluations import in_order, role_of
    from millrace.streams.tools.verdicts import NOTHING, POLICIES, meaning

    contest = promoter.contest
    if not contest.blocks:
        return Group(Text(NOTHING))
    table = Table(title_justify="left", title=_title(promoter))
    for column in ("model", "role"):
        table.add_column(column, no_wrap=True)
    for column in ("labels", "mean loss", "better by, in points"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("worse  │ better", no_wrap=True)
    standings = in_order(contest, baselines)
    for each in standings:
        mean, role = each.mean_loss, role_of(each.name, contest.champion, baselines)
        cells: list[str | Text] = [each.name, role, f"{each.labels:,}"]
        cells.append("-" if mean is None else f"{mean:.4g}")
        if role != "champion":
            bar = Text() if role == "baseline" else _bar(each)
            cells += [_difference(each.evidence), bar]
        table.add_row(*cells, style="bold" if role == "champion" else "")
    lines = [
        f"{each.name} {meaning(each, promoter.failed)}"
        for each in standings
        if role_of(each.name, contest.champion, baselines) in ("candidate", "challenger")
    ]
    lines.append(POLICIES[contest.terms["policy"]])
    if late := contest.late_labels:
        lines.append(f"Labels that came after their blocks, and count for none: {late:,}")
    return Group(table, *map(Text, map(printable, lines)))


def _certainty(followed: Followed) -> Iterator[Text]:
    """Yield how often labels were inside intervals, or sets, if there are any."""
    found = followed.coverage.as_data()
    if found is not None:
        yield Text(
            f"Coverage: {found['share']:.1%} of {found['labels']:,} labels were inside their"
            f" intervals or sets, {found['newest_share']:.1%} of the newest; {found['wanted']:.1%}"
            f" are wanted. Mean width, or number of classes, of the newest:"
            f" {found['newest_mean_size']:.4g}"
        )


def _by_group(followed: Followed) -> Group | Text:
    """Return a table with a row for each group, the largest first."""
    groups, contest = followed.groups, followed.promoter.contest
    if not groups.evidence:
        return Text(_NO_GROUPS)
    names = [each.name for each in contest.in_test()]
    title = f"{contest.champion} serves; better by, in points, with 95 % at all times together"
    table = Table(title_justify="left", title=title)
    table.add_column("group")
    table.add_column("labels", justify="right")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    sizes = {
        group: max((each.n for each in found.values()), default=0)
        for group, found in groups.evidence.items()
    }
    largest = sorted(sizes, key=lambda group: -sizes[group])
    for group in largest[:_MOST_GROUPS]:
        found = groups.evidence[group]
        cells = [_difference(found.get(name)) for name in names]
        table.add_row(printable(group), f"{sizes[group]:,}", *cells)
    left = len(largest) - _MOST_GROUPS
    return Group(table, Text(f"{left:,} smaller groups: --json has all.") if left > 0 else Text())


def _title(promoter: Promoter) -> str:
    contest = promoter.contest
    serves = f"{contest.champion} serves"
    if contest.former:
        serves += f" after {contest.former}"
    if promoter.is_on_probation:
        serves += ", on probation"
    serves += f"; {promoter.labels:,} labels since {as_utc(contest.since_ms or 0)}"
    definition = Reference.of(contest.definition)
    return f"{serves}; definition {definition.shortened}" if definition.digest else serves


def _difference(evidence: Evidence | None) -> str:
    """Return the mean difference with its interval, in points."""
    from millrace.streams.tools.evaluations import ALPHA

    if evidence is None or not evidence.n:
        return "-"
    lower, upper = evidence.interval(ALPHA)
    return f"{100 * evidence.mean:+.1f} ({100 * lower:+.1f} to {100 * upper:+.1f})"


def _bar(standing: Standing) -> Text:
    """Return how much of a proof there is of being worse, and of being better."""
    worse, better = (
        min(max(round(_BAR * proof), 0), _BAR) for proof in (standing.counter_proof, standing.proof)
    )
    return Text.assemble(
        ("·" * (_BAR - worse), "dim"),
        ("█" * worse, "red"),
        " │ ",
        ("█" * better, "green"),
        ("·" * (_BAR - better), "dim"),
    )
