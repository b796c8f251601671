"""What the text of an event's id and of its key is, whoever names the event.

An event's own numbers are read by its schema: `"0044"` is 44 where `numbers_as_text` says so, and
its id has that text. A label, or a row that is gone, comes without the schema. What it says of such
a field is brought to the same text, or else it would never find its event.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from millrace.models.pipeline.record_parts import IdPart, id_parts
from millrace.streams.sources.definition import EventDefinition
from millrace.streams.sources.values import number_of

_PART = re.compile(r"(?:^|:)((?:[^:\\]|\\.)*)", re.DOTALL)  # see `joined_id`


class IdTexts:
    """Brings ids and keys that others write to the text that their events have.

    Parameters
    ----------
    pipeline
        The definition.

    Attributes
    ----------
    are_free
        Whether any text stays as it is.
    """

    def __init__(self, pipeline: EventDefinition) -> None:
        self._numbers = [_number(pipeline, each) for each in id_parts(pipeline.event_id)]
        self._has_numbers = any(self._numbers)
        self._key = None if pipeline.key is None else _number(pipeline, pipeline.key)
        self.are_free = not self._has_numbers and self._key is None

    def event_id(self, text: str) -> str:
        """Return an id as its event has it; one of another number of parts stays as it is.

        Raises
        ------
        RecordError
            There is no number where the event has one.
        """
        if not self._has_numbers:
            return text
        parts = [text] if len(self._numbers) == 1 else _PART.findall(text)
        if len(parts) != len(self._numbers) or ":".join(parts) != text:
            return text
        return ":".join(
            part if number is None else str(number(part))
            for part, number in zip(parts, self._numbers, strict=True)
        )

    def key(self, text: str | None) -> str | None:
        """Return a key as its event has it.

        Raises
        ------
        RecordError
            It is no number, and that of the event is one.
        """
        return text if text is None or self._key is None else str(self._key(text))


def _number(pipeline: EventDefinition, part: IdPart) -> Callable[[str], int | float] | None:
    """Return what reads a part as the events' reader does, where text may stand for a number."""
    if isinstance(part, str) and part in pipeline.numbers_as_text:
        return partial(number_of, part, False)
    return None
