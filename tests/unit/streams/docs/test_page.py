"""The page says what people ask of a pipeline, and loads nothing from elsewhere."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import Fate, RejectReason
from millrace.streams.docs.examples import Examples
from millrace.streams.docs.meanings import meanings
from millrace.streams.docs.page import page
from millrace.streams.docs.try_it import steps
from millrace.streams.settings import Settings
from tests.unit.streams.docs.definitions import elsewhere, shop

Deployed = Callable[..., Settings]
_EMPTY = {"meta"}


class Read(HTMLParser):
    """Reads a page: its text, its links, and whether elements end as they begin."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _EMPTY:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "style")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_is_one_file(pipeline: Pipeline, deployed: Deployed) -> None:
    """It is well formed, has both colour schemes, and only links to itself and the document."""
    text = page(pipeline, deployed())
    read = Read(text)
    assert read.open == []
    assert all(each.startswith("#") or each == "asyncapi.json" for each in read.loads)
    assert "://" not in text.replace("://broker", "")
    for loading in ("<script", "@import", "url("):
        assert loading not in text
    for scheme in ("color-scheme: light dark", "prefers-color-scheme: dark"):
        assert scheme in text


def test_it_says_what_the_pipeline_does(deployed: Deployed) -> None:
    """Task, fields, features, models, labels, topics, sources, fates and reasons are on it."""
    text = Read(page(shop(), deployed(topics={"orders": "prod.orders"}))).text
    for said in (
        *("An order in the shop.", "Price for each item.", "fraud, ok", "multiclass", "tree"),
        *("shop.events", "shop.predictions", "prod.orders", "Debezium", "chargebacks"),
        *("3 days", "unit_price", "price_mean_1h", "single-object encoding"),
        *RejectReason,
        *Fate,
    ):
        assert said in text, said


def test_what_users_wrote_is_text(deployed: Deployed) -> None:
    """Markup in a doc is shown, and is no markup; what is in backticks is code."""
    text = page(shop(), deployed())
    assert "Who &lt;b&gt;orders&lt;/b&gt;, by <code>number</code>." in text


@pytest.mark.parametrize("outputs", ["avro", "json"])
def test_its_commands_carry_the_examples(
    pipeline: Pipeline, deployed: Deployed, outputs: str
) -> None:
    """The commands produce the example of an event and its label to the pipeline's topics."""
    examples = Examples(pipeline)
    settings = deployed(outputs=outputs, broker="kafka:9092")
    event, label, read = (each.command for each in steps(pipeline, settings, examples))
    own = f"{pipeline.name}.events"
    topic = own if examples.source is None else examples.source.topic
    for command, to, record in (
        (event, topic, examples.event.value),
        (label, f"{pipeline.name}.labels", examples.label),
    ):
        first, document, last = command.split("\n")
        assert f"-b kafka:9092 -t {to}" in first
        assert json.loads(document) == record
        assert (first[-8:], last) == (" <<'EOF'", "EOF")
    assert read.startswith("kcat -C" if outputs == "json" else "millrace consume")


@pytest.mark.parametrize(
    ("scope", "chain", "place"),
    [("key", "full", " -k key-1 "), ("global", "full", " -p 0 "), ("key", "default", " <<")],
)
def test_its_commands_go_to_the_partition_of_the_model(
    deployed: Deployed, scope: str, chain: str, place: str
) -> None:
    """Where ingest does not route, the producer does."""
    pipeline = shop(scope=scope)
    event, *_ = steps(pipeline, deployed(chain=chain), Examples(pipeline))
    assert f"shop.events{place}" in event.command


def test_its_commands_say_what_is_beside_the_value(deployed: Deployed) -> None:
    """The key of a record and its headers are options of kcat, where the pipeline reads them."""
    pipeline = elsewhere()
    event, *_ = steps(pipeline, deployed(), Examples(pipeline))
    first, *_ = event.command.split("\n")
    options = shlex.split(first)
    assert json.loads(options[options.index("-k") + 1]) == {"payment": {"id": "event-1"}}
    assert {"region=event-1", "card=key-1"} <= {*options}
    assert "header region" in Read(page(pipeline, deployed())).text


@pytest.mark.parametrize("kind", [Fate, RejectReason])
def test_all_members_have_a_meaning(kind: type[Fate | RejectReason]) -> None:
    """What is said below a member in the source is found, a sentence each."""
    found = dict(meanings(kind))
    assert [*found] == [*kind]
    assert all(re.fullmatch(r"[A-Z].*\.", each) for each in found.values())
