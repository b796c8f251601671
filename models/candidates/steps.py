"""What models are asked and taught, step by step: a run of events and labels, in their order."""

from __future__ import annotations

from typing import NamedTuple

from millrace.schemas.records import Features, LabelValue, Predicted


class Step(NamedTuple):
    """One step of a run: an event, a label, or an event with its label inside.

    Attributes
    ----------
    asked
        Features of the event to predict; None if there is none.
    answers
        Where each candidate puts what it predicts.
    taught
        Features of the event to learn, after that; None if there is none.
    label
        Of what is learned.
    tested
        What each candidate had predicted of what is learned.
    """

    asked: Features | None
    answers: dict[str, Predicted]
    taught: Features | None
    label: LabelValue | None
    tested: dict[str, Predicted]


class Followed(NamedTuple):
    """How far models have followed the steps of a run.

    Attributes
    ----------
    steps
        How many have been done. At the next one, something has to be decided.
    raised
        What the champion raised as it learned at the last step; None if it did not.
    """

    steps: int
    raised: BaseException | None
