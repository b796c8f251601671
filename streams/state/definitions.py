"""Definitions on Kafka: signed bundles in the compacted topic `definitions`, by their digests.

To load a bundle is to run its code. So none is given out that was not signed with the state key,
which thereby is the permission to run code in the pipeline's workers.

What is signed::

    B | the pipeline's prefix | 0 | the bundle's bytes, compressed (RFC 1950)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import structlog

from millrace.models.bundles.bundle import Bundle
from millrace.schemas import DefinitionError, SnapshotError
from millrace.streams.kafka.delivery import CheckedProducer
from millrace.streams.kafka.protocols import Clients
from millrace.streams.kafka.reading import read_to_end
from millrace.streams.state.signing import sign, verified
from millrace.streams.topology.topics import DEFINITIONS

_BUNDLE = b"B"
_LARGEST_BYTES = 1_000_000  # a record may have 1 MiB, if nobody has told the broker otherwise
_WRITE_TIMEOUT_SECONDS = 30.0

_log = structlog.get_logger(__name__)


def signed(bundle: Bundle, prefix: str, key: bytes) -> bytes:
    """Return a bundle for the pipeline of a prefix, signed.

    Raises
    ------
    DefinitionError
        It is too large for a record.
    SnapshotError
        The key is empty.

    Examples
    --------
    >>> bundle = Bundle("visits:pipeline", {"visits": "visits.py"}, {"visits.py": ""})
    >>> opened(signed(bundle, "visits.", b"key"), "visits.", b"key") == bundle
    True
    """
    compressed = zlib.compress(bundle.to_bytes(), 9)
    if len(compressed) > _LARGEST_BYTES:
        raise DefinitionError(
            f"a definition must have {_LARGEST_BYTES:,} bytes or less when it is compressed; got"
            f" {len(compressed):,}. Keep data out of the pipeline's modules"
        )
    return sign(_start(prefix) + compressed, key)


def opened(data: bytes, prefix: str, key: bytes) -> Bundle:
    """Return the bundle that was signed for the pipeline of a prefix.

    Raises
    ------
    SnapshotError
        It is not signed, or with another key, or is no bundle of this pipeline.
    DefinitionError
        It was written by another release, whose bundles have another form.
    """
    body, start = verified(data, key), _start(prefix)
    if not body.startswith(start):
        raise SnapshotError(
            f"a definition must be one of the pipeline with the topics {prefix}*; this was signed"
            " for something else. Deploy the pipeline's file again"
        )
    try:
        return Bundle.from_bytes(zlib.decompress(body[len(start) :]))
    except zlib.error as error:
        raise SnapshotError(f"a definition cannot be read: it is damaged, {error}") from error


class DefinitionStore:
    """Writes and reads the definitions of a pipeline.

    Parameters
    ----------
    clients
        Makes what reads and writes.
    prefix
        Of the pipeline's topics.
    key
        Signs what is written; what is read must be signed with it.
    """

    def __init__(self, clients: Clients, prefix: str, key: bytes) -> None:
        self._clients = clients
        self._prefix = prefix
        self._key = key
        self._topic = prefix + DEFINITIONS

    def publish(self, bundle: Bundle) -> None:
        """Write a bundle; it is there when this returns.

        Raises
        ------
        DefinitionError, SnapshotError
            See `signed`.
        BrokerError
            The broker does not take it.
        """
        value = signed(bundle, self._prefix, self._key)
        producer = CheckedProducer(self._clients)
        producer.produce(self._topic, value, bundle.digest, partition=0)
        producer.flush(_WRITE_TIMEOUT_SECONDS)

    def get(self, digest: str) -> Bundle:
        """Return the bundle of a digest.

        Raises
        ------
        SnapshotError
            There is none that can be used; the message says why.
        BrokerError
            The topic cannot be read.
        """
        why = ""
        for key, found in self._read():
            if key == digest:
                if isinstance(found, Bundle):
                    return found
                why = f": {found}"
        raise SnapshotError(
            f"a definition must be in the topic {self._topic}; there is none of digest"
            f" {digest!r}{why}. Deploy the pipeline's file again"
        )

    def all(self) -> dict[str, Bundle]:
        """Return digest to bundle, in the order of the topic; what cannot be used is logged.

        Raises
        ------
        BrokerError
            The topic cannot be read.
        """
        bundles: dict[str, Bundle] = {}
        for digest, found in self._read():
            if isinstance(found, Bundle):
                bundles[digest] = found
            else:
                _log.error(
                    "a definition is not used", topic=self._topic, digest=digest, reason=str(found)
                )
        return bundles

    def _read(self) -> Iterator[tuple[str, Bundle | Exception]]:
        """Yield each record's key, and its bundle or why it has none."""
        for message in read_to_end(self._clients, self._topic, [0]):
            digest = (message.key() or b"").decode(errors="replace")
            try:
                yield digest, self._opened(digest, message.value() or b"")
            except (SnapshotError, DefinitionError) as error:
                yield digest, error

    def _opened(self, digest: str, value: bytes) -> Bundle:
        bundle = opened(value, self._prefix, self._key)
        if bundle.digest != digest:
            raise SnapshotError(f"the definition is of the digest {bundle.digest}")
        return bundle


def _start(prefix: str) -> bytes:
    return _BUNDLE + prefix.encode() + b"\0"
