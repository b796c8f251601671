"""Output formats: how the topics that users consume are written.

A new format is a module with a `Format`, and an entry here. The setting `outputs` chooses one;
internal topics are always Avro.
"""

from collections.abc import Mapping

from millrace.streams.formats.avro import AvroFormat
from millrace.streams.formats.base import Encoder, Format, OutputSchemas, RecordType
from millrace.streams.formats.confluent import ConfluentFormat
from millrace.streams.formats.json import JsonFormat

FORMATS: Mapping[str, type[Format]] = {
    each.name: each for each in (AvroFormat, JsonFormat, ConfluentFormat)
}
"""Name to format."""


class Outputs:
    """How outputs are written, and read, in whichever format they are.

    Parameters
    ----------
    name
        The format that is written.
    schemas
        What the registry says of their schemas; by default there is none.

    Examples
    --------
    >>> from millrace.schemas import shipped
    >>> label = {"event_id": "e1", "label": True, "label_time_ms": None}
    >>> label |= {"key": None, "source": None}
    >>> data = Outputs("json").encoder(shipped("label")).encode(label)
    >>> Outputs("avro").decode(shipped("label"), data) == label
    True
    """

    def __init__(self, name: str = AvroFormat.name, schemas: OutputSchemas | None = None) -> None:
        schemas = schemas or OutputSchemas()
        self._formats = [each(schemas) for each in FORMATS.values()]
        (self._written,) = (each for each in self._formats if each.name == name)

    def encoder(self, avro: RecordType) -> Encoder:
        """Return what writes records of a type."""
        return self._written.encoder(avro)

    def decode(self, avro: RecordType, data: bytes) -> Mapping[str, object]:
        """Return the record of a type that the bytes hold.

        Raises
        ------
        RecordError
            They are in no format, or broken.
        RegistryError
            The registry that knows their schema does not answer.
        """
        for each in self._formats:
            if each.recognises(data):
                return each.decode(avro, data)
        return avro.decode(data)  # which says what is wrong


__all__ = ["FORMATS", "Encoder", "Format", "OutputSchemas", "Outputs", "RecordType"]
