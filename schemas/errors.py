"""Every error that Millrace raises on purpose.

::

    MillraceError
    ├── DefinitionError     a pipeline is described wrongly: raised when it is loaded
    ├── SettingsError       a setting or a command's argument is wrong: raised at start
    ├── RecordError         one record cannot be used: becomes a reject, the pipeline goes on
    ├── SnapshotError       saved state is unsigned, tampered with or of another version
    └── BrokerError         Kafka, or what stands in for it, cannot do what is asked

A message reads "<where> requires <what>; got <value!r>", with the fix where there is one.
"""

from __future__ import annotations

from millrace.schemas.records import RejectReason


class MillraceError(Exception):
    """Anything that Millrace raises on purpose."""


class DefinitionError(MillraceError):
    """A pipeline definition is wrong; the message names the field and the fix."""


class SettingsError(MillraceError):
    """A setting or a command-line argument is wrong."""


class SnapshotError(MillraceError):
    """Saved state may not be loaded; the message says why and what to do."""


class BrokerError(MillraceError):
    """The broker cannot be reached, or cannot do what is asked of it."""


class RecordError(MillraceError):
    """One record cannot be used. It goes to `rejects`, and the pipeline goes on."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
