"""Where state is signed: the key, and the signature in front of what it protects.

State is pickled, and a pickle is a program. So nothing is unpickled that was not written with
this key: HMAC-SHA256 (RFC 2104) over everything that follows it.

Layout::

    MRS, format version (1 byte) | HMAC (32 bytes) | body
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

import click
import structlog

from millrace.schemas import SnapshotError
from millrace.streams.settings import Settings

_MAGIC = b"MRS"
_FORMAT_VERSION = 1
_PREFIX = _MAGIC + bytes([_FORMAT_VERSION])
_BODY_START = len(_PREFIX) + 32

_log = structlog.get_logger(__name__)


def state_key(settings: Settings, folder: Path | None = None) -> bytes:
    """Return the signing key: the setting, or else this user's own, created when first needed.

    Parameters
    ----------
    settings
        `state_key` is used where it is set. The embedded broker gets a random key.
    folder
        Where the user's own key is kept; by default the user's configuration folder.
    """
    given = settings.state_key.get_secret_value()
    if given:
        return given.encode()
    if settings.is_embedded:
        return secrets.token_bytes(32)
    path = (folder or Path(click.get_app_dir("millrace"))) / "state.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
        _log.warning(
            "created a key that signs saved state; workers on other machines need the same key",
            path=str(path),
            setting="MILLRACE_STATE_KEY",
        )
    return path.read_text().encode()


def sign(body: bytes, key: bytes) -> bytes:
    """Return `body` with its signature in front.

    Raises
    ------
    SnapshotError
        The key is empty.
    """
    _require(key)
    return _PREFIX + _signature(body, key) + body


def verified(data: bytes, key: bytes) -> bytes:
    """Return the body that was signed.

    Raises
    ------
    SnapshotError
        The key is empty; or the data is cut off, not signed, changed, signed with another key, or
        in another format.
    """
    _require(key)
    if not data.startswith(_MAGIC) or len(data) < _BODY_START:
        raise SnapshotError(
            f"a snapshot must be signed; got {len(data)} bytes that start with {data[:4]!r}."
            " It was cut off, or is not a snapshot: delete it"
        )
    if not data.startswith(_PREFIX):
        raise SnapshotError(
            f"a snapshot must have format version {_FORMAT_VERSION}; got {data[len(_MAGIC)]}."
            " Run the Millrace that wrote it, or delete the pipeline's state topics to start over"
        )
    body = data[_BODY_START:]
    if not hmac.compare_digest(_signature(body, key), data[len(_PREFIX) : _BODY_START]):
        raise SnapshotError(
            "a snapshot's signature does not match this key. It was signed with another"
            " MILLRACE_STATE_KEY: set that one; or it was changed: delete it"
        )
    return body


def _signature(body: bytes, key: bytes) -> bytes:
    digest = hmac.new(key, _PREFIX, "sha256")
    digest.update(body)
    return digest.digest()


def _require(key: bytes) -> None:
    if not key:
        raise SnapshotError("a snapshot must be signed with a key: set MILLRACE_STATE_KEY")
