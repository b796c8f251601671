"""Signatures of commands: HMAC-SHA256 (RFC 2104).

Whoever asks for something signs the value of the record, in the header `signature`. What was signed
once could be sent again. So ids are remembered, and a command counts for some minutes after it was
written, by the clock of the broker.

Whoever deploys a definition signs what it is with the key that signs bundles: so nobody else can
put one in force, and none is that was not published.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping

from millrace.schemas import CommandError

HEADER = "signature"
_MOST_MINUTES = 5


def signature_of(value: bytes, key: bytes) -> str:
    """Return the signature, in hexadecimal.

    Examples
    --------
    >>> signature_of(b'{"command": "pause"}', b"a secret of our own")[:16]
    '30000f59415dcaf3'
    """
    return hmac.new(key, value, "sha256").hexdigest()


def check_signature(
    value: bytes,
    headers: Iterable[tuple[str, bytes | None]],
    *,
    id_: str | None,
    written_ms: int | None,
    received_ms: int,
    key: bytes,
) -> None:
    """Refuse a command that is not signed with a key, or was written long ago.

    Parameters
    ----------
    value, headers
        Of its record.
    id_
        Names it, so that it counts once.
    written_ms
        When it was written, as it says itself: milliseconds since the Unix epoch.
    received_ms
        When the broker has received it.
    key
        See above.

    Raises
    ------
    CommandError
        Naming what is wrong.
    """
    given = dict(headers).get(HEADER)
    if given is None:
        raise CommandError(
            f"a command must be signed with MILLRACE_COMMAND_KEY, in the header {HEADER!r}; it has"
            " no such header"
        )
    expected = signature_of(value, key).encode()
    if not hmac.compare_digest(given.lower(), expected):
        raise CommandError(
            f"the header {HEADER!r} must be the HMAC-SHA256 of the value with MILLRACE_COMMAND_KEY,"
            " in hexadecimal; it is another"
        )
    if not id_ or written_ms is None:
        missing = "time_ms" if id_ else "id"
        raise CommandError(f"a command that is signed must have the field {missing!r}; got none")
    if abs(received_ms - written_ms) > _MOST_MINUTES * 60_000:
        raise CommandError(
            f"time_ms must be within {_MOST_MINUTES} minutes of the time at which the broker"
            f" received the command, {received_ms}; got {written_ms}"
        )


def deploy_signature(prefix: str, arguments: Mapping[str, str], key: bytes) -> str:
    """Return the signature of a `deploy`, in hexadecimal.

    Parameters
    ----------
    prefix
        Of the pipeline's topics.
    arguments
        Of the command: `definition` and `description` count.
    key
        Signs bundles.
    """
    text = f"{prefix} {arguments['definition']} {arguments['description']}"
    return signature_of(text.encode(), key)


def check_deploy(prefix: str, arguments: Mapping[str, str], keys: Iterable[bytes]) -> None:
    """Refuse a `deploy` that is signed with none of the keys that sign bundles.

    Raises
    ------
    CommandError
        It is.
    """
    given = arguments["signature"].encode()
    expected = [deploy_signature(prefix, arguments, key).encode() for key in keys]
    if not any(hmac.compare_digest(given, each) for each in expected):
        raise CommandError(
            "deploy must be signed with MILLRACE_STATE_KEY, which says that the definition was"
            " published; it is not signed with that of the workers. Use `millrace deploy`"
        )
