"""Every error that Millrace raises on purpose.

::

    MillraceError
    ├── DefinitionError     a pipeline's definition is wrong: raised when it is loaded
    ├── SettingsError       a setting or a command's argument is wrong: raised at start
    ├── CommandError        a command is wrong: refused, and nothing is changed
    ├── RecordError         one record cannot be used: it is rejected, and the pipeline continues
    ├── SnapshotError       saved state is unsigned, tampered with or of another version
    │   └── LostError       a part of it that this River or Python cannot read: it begins anew
    ├── ArchiveError        the archive cannot be reached, or has not what is needed
    └── BrokerError         Kafka, or what replaces it, cannot be reached or refuses a request
        ├── ExpiredError    records that are needed are not on the broker any more
        ├── TopicError      a topic was deleted, truncated or created again
        ├── PartitionsError topics do not have the partitions that they need
        └── RegistryError   the schema registry cannot be reached or refuses a request

A client of `millrace serve` has one of its own beside these (`streams.client.errors`).

A message about a definition or a setting reads "<parameter> must be <what>; got <value!r>",
followed by the fix. Any other says what happened, where (topic[partition]@offset), and how to fix
it.
"""

from __future__ import annotations

from millrace.schemas.records import RejectReason

_MAX_DETAIL = 1_000


class MillraceError(Exception):
    """Any error that Millrace raises on purpose.

    Attributes
    ----------
    public
        What kind of failure it is, for whoever may see no more than that (`/healthz`).
    """

    public = "Millrace failed"


class DefinitionError(MillraceError):
    """A pipeline's definition is wrong; the message names the parameter and the fix."""

    public = "the pipeline's definition is wrong"


class SettingsError(MillraceError):
    """A setting or a command-line argument is wrong."""

    public = "a setting is wrong"


class CommandError(MillraceError):
    """A command is unknown, or asks for what cannot be done; nothing is changed."""

    public = "a command is wrong"


class SnapshotError(MillraceError):
    """Saved state cannot be loaded; the message says why and what to do."""

    public = "saved state cannot be loaded"


class LostError(SnapshotError):
    """A part of saved state that this River, Python or code of the user's cannot read any more."""


class ArchiveError(MillraceError):
    """The archive cannot be reached, or does not have what is needed."""

    public = "the archive does not have what is needed"


class BrokerError(MillraceError):
    """The broker cannot be reached, or refuses a request."""

    public = "the broker refuses a request"


class ExpiredError(BrokerError):
    """Records that are needed are not on the broker any more."""

    public = "input has expired"


class TopicError(BrokerError):
    """A topic was deleted, truncated or created again."""

    public = "a topic was deleted, truncated or created again"


class PartitionsError(BrokerError):
    """Topics do not have the partitions that they need."""

    public = "topics do not have the partitions that they need"


class RegistryError(BrokerError):
    """The schema registry cannot be reached, or refuses a request."""

    public = "the schema registry does not answer"


class RecordError(MillraceError):
    """One record cannot be used. It goes to `rejects`, and the pipeline continues.

    Parameters
    ----------
    reason
        For machines: a field of the reject, and a label of its metric.
    detail
        For people: what is wrong with the record. It is cut off where it is long, and can be
        written as UTF-8, whatever it quotes.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
        if len(detail) > _MAX_DETAIL:
            detail = f"{detail[:_MAX_DETAIL]}..."
        detail = detail.encode(errors="backslashreplace").decode()
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
