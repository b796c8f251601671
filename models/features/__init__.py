"""Features: what a model sees of an event.

Each kind is a module with a factory that a user calls in `Pipeline.features`, exported here. A
feature gives a part of the feature vector, from the event and, if it keeps state, from the events
before it. A value that is null or not defined is absent from the vector: River models treat a
missing key as a missing feature.
"""

from millrace.models.features.base import Feature, StatelessFeature, Store, Stores
from millrace.models.features.calendar import calendar
from millrace.models.features.derived import derived
from millrace.models.features.fields import fields
from millrace.models.features.rolling import rolling

__all__ = [
    "Feature",
    "StatelessFeature",
    "Store",
    "Stores",
    "calendar",
    "derived",
    "fields",
    "rolling",
]
