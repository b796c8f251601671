"""Settings come from variables, and secrets from files that variables name."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.schemas import SettingsError
from millrace.streams.environment import read_environment, unknown_variables

NAMES = ("broker", "kafka", "state_key", "schema_registry_url")


def read(**environment: str) -> dict[str, object]:
    return read_environment(NAMES, environment)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Give a file with a secret, and a newline as editors write it."""
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    return file


def test_a_variable_is_a_setting() -> None:
    """Even if it is empty; what is not set is not there."""
    assert read(MILLRACE_BROKER="here:9092", OTHER="x") == {"broker": "here:9092"}
    assert read(MILLRACE_BROKER="") == {"broker": ""}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("MILLRACE_STATE_KEY_FILE", "state_key"),
        ("MILLRACE_BROKER_FILE", "broker"),
        ("MILLRACE_SCHEMA_REGISTRY_URL_FILE", "schema_registry_url"),
        ("SCHEMA_REGISTRY_URL_FILE", "schema_registry_url"),
    ],
)
def test_a_setting_can_come_from_a_file(name: str, setting: str, secret: Path) -> None:
    """Every one can, without the newline at the end of the file."""
    assert read(**{name: str(secret)}) == {setting: "s3cret"}


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"a", "a"),
        (b"a\r\n", "a"),
        (b"a\n\n", "a\n"),
        (b" a ", " a "),
        (b"\xef\xbb\xbfa\n", "a"),
        (b"a\nb\n", "a\nb"),
    ],
)
def test_one_newline_is_not_part_of_the_value(data: bytes, value: str, tmp_path: Path) -> None:
    """Nor is a byte order mark; anything else is."""
    (tmp_path / "f").write_bytes(data)
    assert read(MILLRACE_STATE_KEY_FILE=str(tmp_path / "f")) == {"state_key": value}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, "a file that can be read; .*No such file"),
        (b"", "a file with the value; .*which is empty"),
        (b"\n", "a file with the value; .*which is empty"),
        (b" \n", "a file with the value; .*which is empty"),
        (b"\xff\xfe", "a file of UTF-8 text"),
        (b"x" * 1_000_001, "a file of at most 1 MB"),
    ],
)
def test_a_file_without_a_value_is_an_error(
    data: bytes | None, expected: str, tmp_path: Path
) -> None:
    """It names the variable and the file."""
    if data is not None:
        (tmp_path / "f").write_bytes(data)
    with pytest.raises(SettingsError, match=f"^MILLRACE_STATE_KEY_FILE must name {expected}"):
        read(MILLRACE_STATE_KEY_FILE=str(tmp_path / "f"))


@pytest.mark.parametrize("path", ["", "\0", "/"])
def test_a_path_that_is_no_file_is_an_error(path: str) -> None:
    """A folder, nothing, or what no path can be."""
    with pytest.raises(
        SettingsError, match=r"^MILLRACE_STATE_KEY_FILE must name a file that can be"
    ):
        read(MILLRACE_STATE_KEY_FILE=path)


def test_a_value_and_a_file_are_one_too_many(secret: Path) -> None:
    """Which of them holds would be a guess; an empty value is none."""
    with pytest.raises(SettingsError, match="STATE_KEY and MILLRACE_STATE_KEY_FILE must not be"):
        read(MILLRACE_STATE_KEY="x", MILLRACE_STATE_KEY_FILE=str(secret))
    given = read(MILLRACE_STATE_KEY="", MILLRACE_STATE_KEY_FILE=str(secret))
    assert given == {"state_key": "s3cret"}


def test_each_property_has_a_variable(secret: Path) -> None:
    """Beside the JSON object; and each can come from a file."""
    found = read(
        MILLRACE_KAFKA='{"sasl.username": "anna"}',
        MILLRACE_KAFKA_SASL_PASSWORD_FILE=str(secret),
        MILLRACE_KAFKA_LOG_LEVEL="3",
        MILLRACE_KAFKA_SASL_OAUTHBEARER_ASSERTION_FILE="/a/path",
    )
    assert found["kafka"] == {
        "sasl.username": "anna",
        "sasl.password": "s3cret",
        "log_level": "3",
        "sasl.oauthbearer.assertion.file": "/a/path",
    }
    assert read(MILLRACE_KAFKA_CLIENT_ID="x") == {"kafka": {"client.id": "x"}}


def test_all_properties_can_come_from_one_file(tmp_path: Path) -> None:
    """The JSON object is a setting like any other."""
    (tmp_path / "f").write_text('{"sasl.password": "s3cret"}\n')
    found = read(MILLRACE_KAFKA_FILE=str(tmp_path / "f"))
    assert found == {"kafka": {"sasl.password": "s3cret"}}


def test_a_property_is_given_once() -> None:
    """In the object or alone."""
    with pytest.raises(SettingsError, match=r"sasl.password must be set once"):
        read(MILLRACE_KAFKA='{"sasl.password": "a"}', MILLRACE_KAFKA_SASL_PASSWORD="b")


def test_a_misspelt_property_is_an_error() -> None:
    """It would be a secret that is not used."""
    with pytest.raises(SettingsError, match=r"Did you mean MILLRACE_KAFKA_SASL_PASSWORD\?"):
        read(MILLRACE_KAFKA_SASL_PASWORD_FILE="x")
    with pytest.raises(
        SettingsError, match=r"^MILLRACE_KAFKA_COLOUR_OF_HATS must name a property.*none$"
    ):
        read(MILLRACE_KAFKA_COLOUR_OF_HATS="x")


@pytest.mark.parametrize("text", ["security.protocol=SSL", "{", "[" * 100_000])
def test_what_is_not_json_is_not_repeated(text: str) -> None:
    """It may hold a password."""
    with pytest.raises(SettingsError, match=r"kafka must be a JSON object.*; got another text"):
        read(MILLRACE_KAFKA=text)


def test_unknown_variables_have_a_neighbour() -> None:
    """Where one is near."""
    found = unknown_variables(NAMES, ["MILLRACE_BROKR", "MILLRACE_ZZZ", "MILLRACE_KAFKA_FILE"])
    assert found == {"MILLRACE_BROKR": "MILLRACE_BROKER", "MILLRACE_ZZZ": ""}
