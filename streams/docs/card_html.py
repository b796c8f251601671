"""A model card as one file of HTML, which loads nothing else and runs nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template

from millrace.streams.docs.card import Card, Part, Points, Table
from millrace.streams.escaping import printable

_OTHERS = re.compile(r"[^a-z0-9]+")


def card_html(card: Card) -> str:
    """Return a card as HTML."""
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    title = _text(f"{card.name}: model card")
    return Template(template).substitute(title=title, body="\n".join(_body(card)))


def _body(card: Card) -> Iterator[str]:
    yield f"<h1>{_text(card.name)}</h1>"
    yield f'<p class="lead">{_text(card.lead)}</p>'
    links = (f'<a href="#{_anchor(title)}">{_text(title)}</a>' for title in card.sections)
    yield f'<nav aria-label="Sections">{" ".join(links)}</nav>'
    yield "<main>"
    for title, parts in card.sections.items():
        yield f'<section aria-labelledby="{_anchor(title)}">'
        yield f'<h2 id="{_anchor(title)}">{_text(title)}</h2>'
        yield from map(_part, parts)
        yield "</section>"
    yield "</main>"
    yield f"<footer>{_text(card.made)}</footer>"


def _part(part: Part) -> str:
    if isinstance(part, Points):
        return f"<ul>{''.join(f'<li>{_text(each)}</li>' for each in part.sentences)}</ul>"
    if isinstance(part, Table):
        return _table(part)
    return f"<p>{_text(part)}</p>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_text(each)}</th>' for each in table.columns)
    body = "".join(f"<tr>{_row(row, is_named=not head)}</tr>" for row in table.rows)
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<div class="wide" tabindex="0"><table>{head}<tbody>{body}</tbody></table></div>'


def _row(row: Sequence[str], *, is_named: bool) -> str:
    first, *others = map(_text, row)
    begin = f'<th scope="row">{first}</th>' if is_named else f"<td>{first}</td>"
    return begin + "".join(f"<td>{each}</td>" for each in others)


def _text(text: str) -> str:
    return html.escape(printable(text))


def _anchor(title: str) -> str:
    return _OTHERS.sub("-", title.lower())
