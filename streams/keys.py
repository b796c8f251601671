"""The secret that signs saved state."""

from __future__ import annotations

import secrets
from pathlib import Path

import click
import structlog

from streams.settings import Settings

_log = structlog.get_logger(__name__)


def state_key(settings: Settings, folder: Path | None = None) -> bytes:
    """Return the signing key: the setting, or else this user's own, made when first needed.

    Parameters
    ----------
    settings
        `state_key` counts where it is set.
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
            "made a key that signs saved state; workers on other machines need the same one",
            path=str(path),
            setting="MILLRACE_STATE_KEY",
        )
    return path.read_text().encode()
