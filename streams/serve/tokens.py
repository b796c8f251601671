"""Who may do what: tokens, each with a name and a role, in a file that has their hashes.

A token is 32 random bytes, so that SHA-256 without salt keeps it: nobody can try them all. The file
is read again when it changes. A line is a name, a role and a hash; what begins with # is a comment.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import structlog

from millrace.schemas import SettingsError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_LOOK_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Right(Enum):
    """What somebody may do."""

    ASK = auto()
    """Ask for the prediction of an event that one knows the id of."""
    READ = auto()
    """See everything else."""
    SEND = auto()
    """Send events and labels."""
    COMMAND = auto()
    """Give commands that change who serves and who learns."""
    ADMINISTER = auto()
    """Give any command."""


class Role(StrEnum):
    """What a token is for."""

    VIEWER = "viewer"
    PRODUCER = "producer"
    OPERATOR = "operator"
    ADMIN = "admin"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.ASK, Right.READ}),
    Role.PRODUCER: frozenset({Right.ASK, Right.SEND}),
    Role.OPERATOR: frozenset({Right.ASK, Right.READ, Right.COMMAND}),
    Role.ADMIN: frozenset(Right),
}
"""Role to what it may do."""


class Caller(NamedTuple):
    """Who asks: the name that the audit has, and the role."""

    name: str
    role: Role

    def may(self, right: Right) -> bool:
        """Whether the role has a right."""
        return right in RIGHTS[self.role]


class Tokens:
    """The tokens of a file.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    SettingsError
        It cannot be read, or has a line that is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp, self._callers = _stamp(path), read_tokens(path)
        self._looked_at, self._problem = time.monotonic(), ""

    def caller(self, token: str) -> Caller | None:
        """Return whose token it is; None where it is nobody's."""
        self._look()
        return self._callers.get(hashed(token))

    def _look(self) -> None:
        """Read the file again, if it has changed. One that cannot be read changes nothing."""
        if time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._callers = read_tokens(self._path)
                self._stamp, self._problem = stamp, ""
        except SettingsError as error:
            if self._problem != str(error):
                self._problem = str(error)
                _log.error("the tokens before are still good", reason=self._problem)


def hashed(token: str) -> str:
    """Return what the file has of a token."""
    return sha256(token.encode()).hexdigest()


def read_tokens(path: Path) -> dict[str, Caller]:
    """Return the hashes of a file, and whose they are.

    Raises
    ------
    SettingsError
        It cannot be read, or has a line that is none.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    callers: dict[str, Caller] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split()
        if len(parts) != 3 or parts[1] not in [*Role] or not _HASH.fullmatch(parts[2]):
            raise SettingsError(
                f"{path} must have a name, a role and a hash in each line; line {number} is another"
                " one. `millrace token` writes such lines"
            )
        callers[parts[2]] = Caller(parts[0], Role(parts[1]))
    return callers


def create_token(path: Path, name: str, role: Role) -> str:
    """Return a new token, whose hash is then in a file, which is made where there is none.

    Raises
    ------
    SettingsError
        The name is taken, or is none; or the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        must = "letters, digits and . _ @ -, at most 64, and begin with a letter or a digit"
        raise SettingsError(f"name must have {must}; got {name!r}")
    known = read_tokens(path) if path.exists() else {}
    if name in {each.name for each in known.values()}:
        raise SettingsError(
            f"name must be a new one; {path} has {name!r}. To replace a token, delete its line"
        )
    token = secrets.token_urlsafe(32)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(file, "a") as lines:
            lines.write(f"{name} {role} {hashed(token)}\n")
    except OSError as error:
        raise _unreadable(path, error) from error
    return token


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def _unreadable(path: Path, error: OSError | ValueError) -> SettingsError:
    why = getattr(error, "strerror", None) or "it is not text"
    return SettingsError(
        f"tokens must be a file that can be read and written; got {str(path)!r} ({why})."
        " `millrace token` makes one"
    )
