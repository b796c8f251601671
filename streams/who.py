"""Who runs this process, for the audit: a container may run as a user without a name."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """Return the user's name, or `uid 10001` of one that the system has no name for."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"uid {os.getuid()}"
