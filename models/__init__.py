"""Models: what a pipeline is, and everything about its River models that needs no Kafka.

A `Pipeline` names its event schema, its features (`features`), its candidate models (your own,
or the `catalogue`'s) and what happens on drift (`drift`). `candidates` holds models that compete,
`evaluation` scores them test-then-learn, `snapshot` saves and loads them. This package imports
neither Faust nor Kafka, and reads neither a clock nor the environment.
"""

from models.definition import Pending, Pipeline, Scope
from models.drift import DriftPolicy, DriftSettings
from models.features import calendar, derived, fields, rolling
from models.tasks import Task

__all__ = [
    "DriftPolicy",
    "DriftSettings",
    "Pending",
    "Pipeline",
    "Scope",
    "Task",
    "calendar",
    "derived",
    "fields",
    "rolling",
]
