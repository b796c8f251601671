"""Which of the user's own topics a pipeline reads, as it is deployed."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import LabelSource, Source
from millrace.streams.topology.names import short_name
from millrace.streams.topology.topics import topic_prefix


def sources_of(pipeline: Pipeline, names: Mapping[str, str]) -> dict[str, Source | LabelSource]:
    """Return the sources of a pipeline, each by what its topic is called here.

    Parameters
    ----------
    names
        What topics of sources are called where the pipeline runs, if it is something else.
    """
    prefix = topic_prefix(pipeline)
    sources: list[Source | LabelSource] = [*pipeline.events, *pipeline.labels]
    return {short_name(prefix, names.get(each.topic, each.topic)): each for each in sources}
