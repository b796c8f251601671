"""A model card says what the topics say, what is not known, and no more than that."""

from __future__ import annotations

import html
import html.parser
import re
from datetime import timedelta
from typing import Any

import pytest
from markdown_it import MarkdownIt

from millrace import Conformal, Pending, Pipeline, load_pipeline
from millrace.models.identity.definition import describe
from millrace.schemas import BrokerError, SettingsError, SnapshotError
from millrace.streams.docs.card import Card, Part, Points, Table, card
from millrace.streams.docs.card_html import card_html
from millrace.streams.docs.card_markdown import card_markdown
from millrace.streams.escaping import printable
from millrace.streams.formats import Outputs
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.tools.card import known
from tests.unit.streams.docs.carded import ODD, own_pipeline, worked
from tests.unit.streams.serve.conftest import KEY, World, audit

NOW_MS = 1_700_000_000_000


def made(world: World, key: bytes | None = KEY, own: Pipeline | None = None) -> Card:
    store = None if key is None else DefinitionStore(world.clients, world.full(""), key)
    described = None if own is None else describe(own)
    return card(known(world.clients, world.name, Outputs(), store, described), NOW_MS)


def texts(parts: Any) -> list[str]:
    """Return all sentences and cells."""
    found: list[str] = []
    for part in parts:
        if isinstance(part, Table):
            found += [cell for row in (part.columns, *part.rows) for cell in row]
        else:
            found += part.sentences if isinstance(part, Points) else [part]
    return found


@pytest.fixture(scope="module")
def world() -> World:
    return worked()


@pytest.fixture(scope="module")
def found(world: World) -> Card:
    return made(world)


def test_purpose_and_contract(found: Card) -> None:
    """The purpose is the doc of the schema; fields have their types, roles and docs."""
    assert found.lead == "Predicts which of two classes each event is of (granted). tree serves."
    assert found.sections["Purpose"] == [
        "An application for a loan.",
        "What is predicted, granted: Whether it was granted.",
    ]
    fields, facts = found.sections["Data contract"]
    assert isinstance(fields, Table)
    assert ("income", "double", "feature", "Of a year, in euros.") in fields.rows
    assert ("granted", "null or boolean", "label", "Whether it was granted.") in fields.rows
    assert isinstance(facts, Table)
    assert dict(facts.rows)["event time"] == "at"
    assert "3:00:00" in dict(facts.rows)["labels"]


def test_spans_of_days_have_no_hours() -> None:
    """As `millrace check` writes them."""
    certainty = Conformal(coverage=0.999, abstain=True)
    pipeline = own_pipeline(pending=Pending(ttl=timedelta(days=7)), certainty=certainty)
    facts = dict(made(World(pipeline)).sections["Data contract"][1].rows)
    assert facts["labels"].endswith("each for 7 days")
    expected = "sets of classes that hold 99.9% of labels; without one class alone, no value"
    assert facts["certainty"] == expected


def test_candidates_have_intervals(found: Card) -> None:
    """The champion first, then who is ahead, then baselines; each with labels and an interval."""
    table = found.sections["Candidates"][1]
    assert isinstance(table, Table)
    assert [row[1] for row in table.rows] == ["champion", *["candidate"] * 2, *["baseline"] * 2]
    assert all(re.fullmatch(r"[+-].* \([+-].* to [+-].*\)", row[4]) for row in table.rows[1:])
    assert int(table.rows[0][2].replace(",", "")) > 1_000
    metrics = found.sections["Candidates"][3]
    assert isinstance(metrics, Table)
    assert metrics.columns == ("model", "accuracy", "f1")


def test_limits(found: Card) -> None:
    """Where there is no evidence is said as plainly as what there is."""
    (points,) = found.sections["Limits"]
    assert isinstance(points, Points)
    told = " ".join(points.sentences)
    assert re.search(r"(9|10) % of the newest [\d,]+ events never got a label", told)
    assert "Whether bayes is better than tree is not decided" in told
    assert "The loss has drifted" in told
    assert "No groups of events are compared" in told
    assert "no causes" in told


def test_history(world: World, found: Card) -> None:
    """Definitions, what policies did, and drifts with the reasons that changed; once each."""
    told = texts(found.sections["History"])
    assert "anna" in told
    assert [each for each in told if "reset" in each and "models['tree']" in each]
    assert any(re.search(r"income \d+% to \d+% \(right: \d+% to -?\d+%\)", each) for each in told)
    entry = audit(
        writer="learning", subject="champion", action="promoted", command_id="c9", before="tree"
    )
    for partition in (0, 1):
        world.write("audit", {**entry, "partition": partition, "after": "bayes"}, partition)
    again = texts(made(world).sections["History"])
    assert again.count("champion promoted: tree to bayes") == 1


def test_before_anything_is_known() -> None:
    """Of a pipeline that has just begun, the card says that there is no evidence."""
    found = made(World(own_pipeline(doc="")))
    assert "give it a doc" in texts(found.sections["Purpose"])[0]
    assert "nothing is known" in texts(found.sections["Candidates"])[0]
    assert "There is no evidence yet" in texts(found.sections["Limits"])[0]
    assert "No drift was found." in found.sections["History"]


def test_the_definition_in_force_counts(world: World) -> None:
    """With the key, a file that is older than what was deployed changes nothing; else it counts."""
    other = own_pipeline(doc="Of a file.")
    assert made(world, own=other).sections["Purpose"][0] == "An application for a loan."
    for key in (None, b"another"):
        without = made(world, key=key, own=other)
        assert without.sections["Purpose"][0] == "Of a file."
        assert "from a file" in without.made


def test_what_stands_in_the_way(world: World) -> None:
    """Another key, no definition and no such pipeline are errors that say so."""
    with pytest.raises(SnapshotError):
        made(world, key=b"another")
    with pytest.raises(SettingsError, match="no definition is in force"):
        made(world, key=None)
    store = DefinitionStore(world.clients, "nobody.", KEY)
    with pytest.raises(BrokerError, match=r"no topic nobody\.audit"):
        known(world.clients, "nobody", Outputs(), store)


@pytest.mark.parametrize("name", ["image_segments", "loans", "phishing", "shuttle"])
def test_the_examples_have_cards(name: str) -> None:
    """Whatever a definition has in it can be told."""
    pipeline = load_pipeline(f"millrace.models.pipelines.{name}")
    assert card_markdown(made(World(pipeline))).startswith(f"# {pipeline.name}")


class Parser(html.parser.HTMLParser):
    """Keeps the names of tags and attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def odd_card() -> Card:
    """Return a card whose every text is odd."""
    parts: list[Part] = [ODD, Table((ODD, ODD), [(ODD, ODD)]), Points([ODD])]
    return Card(ODD, ODD, {ODD: parts, "x": [Table((), [(ODD, ODD)])]}, ODD)


def test_html_is_escaped() -> None:
    """What others have written makes no tag, and control characters are written out."""
    parser, plain = Parser(), Parser()
    text = card_html(odd_card())
    parser.feed(text)
    plain.feed(card_html(made(World(own_pipeline()))))
    assert parser.tags - plain.tags <= {"ul", "li"}
    assert not any(name.startswith("on") for name in parser.attributes)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert parser.text.count(printable(ODD)) == 14


def test_html_stands_alone(found: Card) -> None:
    """It has no script, and names nothing to load from elsewhere."""
    text = card_html(found)
    assert not re.search(r"<script|<link|<img|src=|url\(|http", text)
    for title in found.sections:
        assert f'<h2 id="{title.lower().replace(" ", "-")}">{title}</h2>' in text


def test_markdown_is_escaped() -> None:
    """A reader of Markdown sees the texts, and no tag, link, code or cell that is in them."""
    text = card_markdown(odd_card())
    assert "\x1b" not in text
    parser = Parser()
    parser.feed(MarkdownIt("commonmark").enable("table").render(text))
    tags = {"h1", "h2", "p", "em", "ul", "li"}
    assert parser.tags == {*tags, "table", "thead", "tbody", "tr", "th", "td"}
    shown = printable(ODD)
    assert parser.text.count(shown) == 12
    assert not parser.attributes


BEGINS = ["# ", "- ", "+ ", "1. ", "2) ", "> ", "---", "+++", "    ", "~~~"]


@pytest.mark.parametrize("begin", BEGINS)
def test_a_text_begins_as_it_likes(begin: str) -> None:
    """What begins a heading, a list or a line elsewhere is text here."""
    made_of = Card("x", f"{begin}y", {}, "z")
    found = MarkdownIt("commonmark").render(card_markdown(made_of))
    assert f"<p>{html.escape(begin.strip() and begin)}y</p>" in found
