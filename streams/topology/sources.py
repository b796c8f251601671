"""Which of the user's own topics a pipeline reads, as it is deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.sources import (
    EventsAndLabels,
    LabelSource,
    Source,
    Start,
    TopicSource,
)
from millrace.schemas import SettingsError
from millrace.streams.sources.envelopes import check_envelope
from millrace.streams.topology.chain import AgentSpec
from millrace.streams.topology.names import short_name
from millrace.streams.topology.topics import is_own, topic_prefix


def check_starts(pipeline: Pipeline, chain: Sequence[AgentSpec]) -> None:
    """Refuse sources that begin elsewhere than their topics, where state is made of them.

    Raises
    ------
    SettingsError
        State that is lost is made again from the beginning.
    """
    reader = next(each for each in chain if "ingest" in each)
    declared: list[Source | LabelSource] = [*pipeline.events, *pipeline.labels]
    for each in declared:
        if each.start is not Start.EARLIEST and not reader.routes:
            raise SettingsError(
                f"start of {type(each).__name__}({each.topic!r}) must be 'earliest' where ingest"
                f" shares an agent with operators that keep state; got {str(each.start)!r}. Set"
                " MILLRACE_CHAIN=default"
            )


def unknown_names(pipeline: Pipeline, names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of topics that no source of a pipeline has; and the nearest that one has.

    A definition that is deployed later may have them, so they may be right.

    Parameters
    ----------
    names
        As `sources_of` has them.
    """
    known = {each.topic for each in pipeline.events} | {each.topic for each in pipeline.labels}
    unknown = sorted(names.keys() - known)
    likely = sorted(known - names.keys())
    return {each: "".join(get_close_matches(each, likely, n=1)) for each in unknown}


def sources_of(pipeline: Pipeline, names: Mapping[str, str]) -> dict[str, TopicSource]:
    """Return the sources of a pipeline, each by what its topic is called here.

    Parameters
    ----------
    names
        What topics of sources are called where the pipeline runs, if it is something else.

    Raises
    ------
    DefinitionError
        A source has an envelope that there is not.
    SettingsError
        Two names of sources stand for one topic, or for one that Millrace writes to.
    """
    prefix = topic_prefix(pipeline)
    declared: list[Source | LabelSource] = [*pipeline.events, *pipeline.labels]
    sources: dict[str, TopicSource] = {}
    for each in declared:
        check_envelope(each)
        topic = names.get(each.topic, each.topic)
        name = short_name(prefix, topic)
        known = sources.get(name)
        if known is not None and known.topic != each.topic:
            raise SettingsError(
                f"topics must name a topic of its own for each source; got {topic!r} for"
                f" {known.topic!r} and for {each.topic!r}"
            )
        if is_own(name):
            raise SettingsError(
                f"a source must have a topic that others write to; got {topic!r}, which Millrace"
                " writes to"
            )
        if isinstance(known, Source) and isinstance(each, LabelSource):
            sources[name] = EventsAndLabels(known, each)
        else:
            sources[name] = each
    return sources
