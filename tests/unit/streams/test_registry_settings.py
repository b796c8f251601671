"""The schema registry's settings are checked when they are read, and show no secret."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from millrace.schemas import SettingsError
from millrace.streams.settings import Settings, read_settings


def test_the_registry_of_the_settings() -> None:
    """Addresses lose their credentials and last slash; a setting wins over an address."""
    url = "http://a:b%40c@one:1/, https://two/path"
    registry = Settings(schema_registry_url=url).registry
    assert registry.urls == ("http://one:1", "https://two/path")
    assert registry.authorization == f"Basic {b64encode(b'a:b@c').decode()}"
    given = Settings(
        schema_registry_url=url, schema_registry_user="u", schema_registry_password="p"
    )
    assert given.registry.authorization == f"Basic {b64encode(b'u:p').decode()}"
    assert Settings(schema_registry_token="t").registry.authorization == "Bearer t"
    assert Settings().registry.authorization == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"schema_registry_url": "registry:8081"}, "schema_registry_url must be http://host:port"),
        ({"schema_registry_url": "ftp://registry"}, "schema_registry_url must be http://host:port"),
        ({"schema_registry_url": "http://"}, "schema_registry_url must be http://host:port"),
        ({"schema_registry_url": "http://a:8081,b"}, "schema_registry_url must be .*got 'b'"),
        ({"schema_registry_url": "file:///etc/passwd"}, "schema_registry_url must be http://"),
        (
            {"schema_registry_user": "u", "schema_registry_token": "t"},
            "schema_registry_token must be empty where schema_registry_user is set",
        ),
        ({"schema_registry_password": "p"}, "schema_registry_user must be set beside"),
        ({"schema_registry_token": "a\nb"}, "schema_registry_token must be one line of ASCII"),
        ({"schema_registry_url": "http://host:port"}, "schema_registry_url must be http://"),
        ({"schema_registry_ca": "/no/such/file"}, "schema_registry_ca must be a file of cert"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_right(given: dict[str, str], message: str) -> None:
    """A setting that cannot be right stops the worker at its start, and is named."""
    with pytest.raises(SettingsError, match=f"^{message}"):
        read_settings(**given)


def test_a_file_that_holds_no_certificate(tmp_path: Path) -> None:
    """A file of something else is refused when the settings are read."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(SettingsError, match=r"schema_registry_ca must be a file of certificates"):
        read_settings(schema_registry_ca=str(file))


@pytest.mark.parametrize(
    "url",
    ["me:s3cret@host:1", "ftp://me:s3cret@host", "http://me:s3cret@", "http://[me:s3cret@host"],
)
def test_an_address_that_is_wrong_keeps_its_password(url: str) -> None:
    """What is said of a wrong address does not show the password in it."""
    with pytest.raises(SettingsError, match="schema_registry_url") as caught:
        read_settings(schema_registry_url=url)
    assert "s3" not in str(caught.value)
    assert "s3" not in repr(Settings(schema_registry_url="http://me:s3cret@host"))
