"""Every operator, in the order in which a record meets them.

A new operator is a module and an entry here: chains, topics, tasks, metrics and saved state
follow from its class.
"""

from __future__ import annotations

from collections.abc import Mapping

from millrace.streams.operators.base import Operator
from millrace.streams.operators.drift import DriftOperator
from millrace.streams.operators.feature import FeatureOperator
from millrace.streams.operators.ingest import IngestOperator
from millrace.streams.operators.learning import LearningOperator
from millrace.streams.operators.prediction import PredictionOperator

OPERATORS: Mapping[str, type[Operator]] = {
    each.name: each
    for each in (
        IngestOperator,
        FeatureOperator,
        PredictionOperator,
        LearningOperator,
        DriftOperator,
    )
}
"""Name to class."""
