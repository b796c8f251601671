"""Tokens for SASL OAUTHBEARER, which code of the user's own fetches."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias

import structlog

from millrace.models.user_code import told
from millrace.schemas import SettingsError

_log = structlog.get_logger(__name__)

FetchToken: TypeAlias = Callable[[str], tuple[str, float]]
"""From the property `sasl.oauthbearer.config` to a token, and to when it expires: seconds since the
Unix epoch."""


def token_source(spec: str) -> FetchToken:
    """Return the function that the setting `oauth_token` names.

    librdkafka calls it for each client: when it connects, and before a token expires. Where it
    raises an error, that is logged, and it is called again ten seconds later.

    Parameters
    ----------
    spec
        `module:function`. The function takes nothing.

    Raises
    ------
    SettingsError
        There is no such function.
    """
    module, _, name = spec.partition(":")
    try:
        fetch = getattr(import_module(module), name)
    except Exception as error:
        must = "oauth_token must be module:function, which can be imported"
        raise SettingsError(f"{must}; got {spec!r}: {told(error)}") from error
    if not callable(fetch):
        raise SettingsError(f"oauth_token must name a function; {spec!r} is none")

    def call(_config: str) -> tuple[str, float]:
        try:
            token, expires_at = fetch()
        except Exception as error:
            _log.error("the function of oauth_token has failed", function=spec, error=told(error))
            raise
        return token, float(expires_at)

    return call
