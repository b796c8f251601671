"""Topics of the user's own that a pipeline reads, beside its `events` and `labels`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from millrace.models.parameters import choice, named_fields, require, text

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class OnUpdate(StrEnum):
    """What a row is that has changed."""

    IGNORE = "ignore"
    EVENT = "event"


@named_fields
@dataclass(frozen=True)
class Source:
    """A topic with events, whoever writes it.

    Parameters
    ----------
    topic
        Its name. `MILLRACE_TOPICS` may give it another one where the pipeline runs.
    envelope
        What its records are wrapped in: `plain` (nothing), `debezium`, `cloudevents` or `connect`.
    on_update
        What a changed row is, where the envelope says that it has changed: nothing (`ignore`), or
        an `event` of its own.

    Raises
    ------
    DefinitionError
        Naming the parameter, what it must be and what was given.

    Examples
    --------
    >>> Source("shop.public.payments", envelope="debezium").topic
    'shop.public.payments'
    """

    topic: str
    envelope: str = "plain"
    on_update: OnUpdate | str = OnUpdate.IGNORE

    def __post_init__(self) -> None:
        is_name = isinstance(self.topic, str) and _TOPIC.fullmatch(self.topic) is not None
        must = "the topic of a Source must be up to 249 letters, digits, '.', '_' and '-'"
        require(is_name and self.topic not in (".", ".."), must, self.topic)
        text("envelope", self.envelope)
        object.__setattr__(self, "on_update", choice("on_update", self.on_update, OnUpdate))


def check_sources(parameter: str, sources: Sequence[Source]) -> None:
    """Refuse sources that are none, and a topic that is named twice.

    Raises
    ------
    DefinitionError
        There are such.
    """
    is_list = isinstance(sources, list | tuple) and all(isinstance(e, Source) for e in sources)
    require(is_list, f"{parameter} must be a list of Source(...)", sources)
    names = [each.topic for each in sources]
    twice = sorted({each for each in names if names.count(each) > 1})
    require(not twice, f"{parameter} must name each topic once", names)
