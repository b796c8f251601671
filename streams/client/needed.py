"""httpx, which the clients alone need; or what to do where it is missing."""

from __future__ import annotations

__all__ = ["httpx"]

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"millrace.Client needs {error.name}, which is not installed: pip install"
        " 'millrace[client]'",
        name=error.name,
    ) from None
