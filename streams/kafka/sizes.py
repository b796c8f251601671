"""How large a record may be, as far as brokers have said no."""

from __future__ import annotations

from millrace.schemas import RecordError, RejectReason

BATCH_BYTES = 1_000_000
"""librdkafka's `batch.size`, by default."""


class SizeLimits:
    """Remembers, from one connection to the next, which sizes a topic refuses.

    A broker refuses a batch of records as a whole. So the first time batches become as small as
    the largest record of those that were refused, which then goes alone; if it is refused again,
    records of that size are too large for the topic.

    Attributes
    ----------
    batch_bytes
        How large a batch may be.

    Examples
    --------
    >>> sizes = SizeLimits()
    >>> for _ in range(2):
    ...     sizes.note_refused("t", 5_000)
    ...     sizes.conclude()
    >>> sizes.batch_bytes, sizes.fits("t", 4_999), sizes.fits("t", 5_000)
    (5000, True, False)
    """

    def __init__(self) -> None:
        self.batch_bytes = BATCH_BYTES
        self._too_large: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    def note_refused(self, topic: str, size: int) -> None:
        """Note that a record of this size was refused, by itself or with its batch."""
        self._refused[topic] = max(size, self._refused.get(topic, 0))

    def conclude(self) -> None:
        """Draw conclusions from what was refused, before the next connection."""
        for topic, size in self._refused.items():
            if size >= self.batch_bytes:
                self._too_large[topic] = min(size, self._too_large.get(topic, size))
            self.batch_bytes = min(size, self.batch_bytes) or 1
        self._refused.clear()

    def has_limit(self, topic: str) -> bool:
        """Whether a topic has refused a size."""
        return topic in self._too_large

    def fits(self, topic: str, size: int) -> bool:
        """Whether a topic may take a record of this size."""
        return not self._too_large or size < self._too_large.get(topic, size + 1)


def too_large(topic: str, size: int) -> RecordError:
    """Return the error of a record that its topic does not take."""
    return RecordError(
        RejectReason.OVERSIZED_OUTPUT,
        f"a record of {size} bytes is larger than topic {topic} takes (max.message.bytes): make"
        " features, text and keys smaller, or raise the topic's limit",
    )
