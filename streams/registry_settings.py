"""The schema registry's addresses, the credentials for it, and its certificate authority."""

from __future__ import annotations

import ssl
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from millrace.schemas import SettingsError
from millrace.streams.environment import REGISTRY_URL, variable
from millrace.streams.redaction import redact

USER, PASSWORD = variable("schema_registry_user"), variable("schema_registry_password")
TOKEN, CA = variable("schema_registry_token"), variable("schema_registry_ca")


class RegistrySettings(NamedTuple):
    """The settings of a schema registry.

    Attributes
    ----------
    url
        Its address, or several, separated by commas; a user in one of them counts, too.
    user, password, token
        Who asks: a user, or whoever has the token; empty for none.
    ca
        File of the authorities to trust; empty for those of the system.
    """

    url: str = ""
    user: str = ""
    password: str = ""
    token: str = ""
    ca: str = ""

    def check(self) -> None:
        """Refuse what cannot be right.

        Raises
        ------
        SettingsError
            Naming the setting.
        """
        for each in self._given():
            if not _is_address(each):
                raise SettingsError(
                    "schema_registry_url must be http://host:port or https://host:port; got"
                    f" {redact(each.rpartition('@')[2])!r} ({REGISTRY_URL})"
                )
        if self.token.strip() and self.user:
            raise SettingsError(
                "schema_registry_token must be empty where schema_registry_user is set; got both"
                f" ({TOKEN})"
            )
        if not self.token.isprintable() or not self.token.isascii():
            raise SettingsError(
                f"schema_registry_token must be one line of ASCII; got a secret ({TOKEN})"
            )
        if self.password and not self.user:
            raise SettingsError(
                "schema_registry_user must be set beside schema_registry_password; got none"
                f" ({USER})"
            )
        try:
            self.tls()
        except OSError as error:
            raise SettingsError(
                f"schema_registry_ca must be a file of certificates (PEM); got {self.ca!r}:"
                f" {error.strerror or error} ({CA})"
            ) from None

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses, without a user: the first that answers is asked."""
        split = [urlsplit(each) for each in self._given()]
        return tuple(f"{each.scheme}://{_host(each)}{each.path.rstrip('/')}" for each in split)

    @property
    def authorization(self) -> str:
        """The header with which the worker asks; empty for none."""
        if self.token:
            return f"Bearer {self.token}"
        named = [each for each in map(urlsplit, self._given()) if each.username]
        user, password = self.user, self.password
        if named and not user:
            user, password = unquote(named[0].username or ""), unquote(named[0].password or "")
        return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""

    def tls(self) -> ssl.SSLContext:
        """Return how its certificate is checked."""
        return ssl.create_default_context(cafile=self.ca or None)

    def _given(self) -> list[str]:
        return [each.strip() for each in self.url.split(",") if each.strip()]


def _is_address(url: str) -> bool:
    try:
        split = urlsplit(url)
        return split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:  # a port that is none, or a bracket without an end
        return False


def _host(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]
