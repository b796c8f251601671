"""The key that signs state: the setting, or else this user's own, in a file that is made once.

One key is a line. Of several lines the first signs and every one is accepted, so that a key can be
replaced while the former one's signatures are still about (`streams.state.signing`).
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

import click
import structlog

from millrace.schemas import SettingsError
from millrace.streams.settings import Settings

_LEAST_CHARACTERS = 16
_MAKE_ONE = (
    "Set MILLRACE_STATE_KEY to a secret of its own, the same for every worker of the pipeline;"
    " `openssl rand -hex 32` makes one"
)
_CONTAINERS = ("container", "KUBERNETES_SERVICE_HOST")
"""Variables of Millrace's image, Podman and systemd, and of every pod."""

_log = structlog.get_logger(__name__)


def state_key(settings: Settings, folder: Path | None = None) -> bytes:
    """Return the key: the setting, or else this user's own, created when first needed.

    Parameters
    ----------
    settings
        `state_key` is used where it is set. The embedded broker gets a random key.
    folder
        Where the user's own key is kept; by default the user's configuration folder.

    Raises
    ------
    SettingsError
        The key is empty; or there is none, and the file cannot be used, or is not made in a
        container, with which it would be gone.
    """
    given = settings.state_key.get_secret_value()
    if given:
        return _checked(given, 1, "state_key", _MAKE_ONE)
    if settings.is_embedded:
        return secrets.token_hex().encode()
    path = (folder or Path(click.get_app_dir("millrace"))) / "state.key"
    try:
        return _own_key(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(
            f"state_key must be set where {path} cannot be read or written ({reason}); got none."
            f" {_MAKE_ONE}"
        ) from error


def state_key_if_any(settings: Settings, folder: Path | None = None) -> bytes | None:
    """Return what `state_key` does, or None where no key was set or made before."""
    is_there = (folder or Path(click.get_app_dir("millrace"))).joinpath("state.key").exists()
    return state_key(settings, folder) if settings.state_key or is_there else None


def _own_key(path: Path) -> bytes:
    """Return the key in a file, which is made where there is none."""
    if not path.is_absolute():  # "~", where neither HOME nor the system knows the user's folder
        raise FileNotFoundError(0, "this user has no home folder")
    if not path.exists():
        if _is_in_container():
            raise SettingsError(
                "state_key must be set in a container, where a key of its own would be gone with"
                f" it; got none. {_MAKE_ONE}"
            )
        _create(path)
    fix = f"{_MAKE_ONE}. If nothing was saved with it, deleting the file is enough"
    return _checked(path.read_text(), _LEAST_CHARACTERS, str(path), fix)


def _create(path: Path) -> None:
    """Make a file with a random key, in full or not at all; another worker's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        with temporary.open("w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another worker was faster
            os.link(temporary, path)
            _log.warning(
                "created a key that signs saved state; workers on other machines need the same key",
                path=str(path),
                setting="MILLRACE_STATE_KEY",
            )
    finally:
        temporary.unlink(missing_ok=True)


def _checked(text: str, least: int, where: str, fix: str) -> bytes:
    """Return the lines of a key, without those that are empty."""
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    size = len(keys[0]) if keys else 0
    if size < least:
        raise SettingsError(
            f"{where} must hold a key of at least {least} characters; got {size}. {fix}"
        )
    return "\n".join(keys).encode()


def _is_in_container() -> bool:
    return os.getpid() == 1 or any(map(os.environ.get, _CONTAINERS))
