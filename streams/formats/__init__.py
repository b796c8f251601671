"""Output formats: how the topics that users consume are written.

A new format is a module with a `Format`, and an entry here. The setting `outputs` chooses one;
internal topics are always Avro.
"""

from collections.abc import Mapping

from millrace.streams.formats.avro import AvroFormat
from millrace.streams.formats.base import Encoder, Format, RecordType
from millrace.streams.formats.json import JsonFormat

FORMATS: Mapping[str, Format] = {each.name: each for each in (AvroFormat(), JsonFormat())}
"""Name to format."""

__all__ = ["FORMATS", "Encoder", "Format", "RecordType"]
