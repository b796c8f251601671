"""What there is to know of a definition, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from millrace.models.certainty.conformal import Conformal
from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.label_conflicts import LabelConflicts
from millrace.models.pipeline.label_default import LabelDefault
from millrace.streams.docs.facts import facts

Make = Callable[..., Pipeline]


def test_what_becomes_of_labels(make_pipeline: Make) -> None:
    """How long events wait, what silence means, and which of several labels counts."""
    pipeline = make_pipeline()
    assert facts(pipeline)["labels"].endswith("wait for theirs, each for 7 days")
    silent = replace(pipeline, label_default=LabelDefault(False, after=timedelta(days=30)))
    assert facts(silent)["labels"].endswith("each for 30 days, and then is False")
    held = replace(silent, label_conflicts=LabelConflicts(within=timedelta(days=2), keep="first"))
    expected = "and then is False; a label is held for 2 days, and of several the first counts"
    assert facts(held)["labels"].endswith(expected)


def test_reasons_and_certainty_are_told_where_there_are_any(make_pipeline: Make) -> None:
    """Each option of certainty counts."""
    pipeline = make_pipeline()
    assert not {"reasons", "certainty"} & {*facts(pipeline)}
    sure = replace(pipeline, reasons=3, certainty=Conformal(coverage=0.995, abstain=True))
    assert facts(sure)["reasons"] == "3 a prediction"
    expected = "sets of classes that hold 99.5% of labels; without one class alone, no value"
    assert facts(sure)["certainty"] == expected
