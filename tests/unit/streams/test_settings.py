"""Settings come from the environment or are given, are checked, and errors name what is wrong."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from millrace.schemas import SettingsError
from millrace.streams.settings import Guarantee, Settings, read_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away whatever settings this machine has."""
    for name in os.environ:
        if name.startswith("MILLRACE_") or name == "SCHEMA_REGISTRY_URL":
            monkeypatch.delenv(name)


def test_defaults() -> None:
    """Without any setting: an embedded broker, the default chain, on loopback."""
    settings = read_settings()
    assert (settings.broker, settings.chain, settings.outputs) == ("embedded", "default", "avro")
    assert settings.web_host == "127.0.0.1"
    assert [agent.name for agent in settings.agents] == [
        "ingest", "feature", "prediction-learning", "drift"
    ]  # fmt: skip


def test_what_is_given_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over the environment, which wins over the default; None is not given."""
    monkeypatch.setenv("MILLRACE_PARTITIONS", "7")
    monkeypatch.setenv("MILLRACE_CHAIN", "full")
    settings = read_settings(partitions=9, chain=None)
    assert (settings.partitions, settings.chain) == (9, "full")


def test_kafka_properties_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """More properties for the Kafka clients are a JSON object."""
    monkeypatch.setenv("MILLRACE_KAFKA", '{"security.protocol": "SSL"}')
    assert read_settings().kafka == {"security.protocol": "SSL"}


@pytest.mark.parametrize("name", ["SCHEMA_REGISTRY_URL", "MILLRACE_SCHEMA_REGISTRY_URL"])
def test_registry_by_either_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's address has the name that others use too, and the prefixed one."""
    monkeypatch.setenv(name, "http://registry:8081")
    assert read_settings().schema_registry_url == "http://registry:8081"
    assert read_settings(schema_registry_url="http://x").schema_registry_url == "http://x"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("partitions", "0", "greater than or equal to 1"),
        ("partitions", "many", "valid integer"),
        ("replication", "-2", "greater than or equal to -1"),
        ("web_port", "65536", "less than or equal to 65535"),
        ("flush_seconds", "0", "greater than 0"),
        ("batch_records", "0", "greater than or equal to 1"),
        ("processing_guarantee", "twice", "'exactly_once' or 'at_least_once'"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("kafka", "[1]", "valid dictionary"),
    ],
)
def test_errors_name_the_setting(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong value is an error: the setting, its variable, what is required, what it got."""
    monkeypatch.setenv(f"MILLRACE_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    message = str(caught.value)
    assert message.startswith(f"setting {name} (MILLRACE_{name.upper()}): ")
    assert expected in message
    assert message.endswith(f"; got {value!r}" if name != "kafka" else "; got a secret")


def test_broken_json_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that is no JSON where it must be is named too."""
    monkeypatch.setenv("MILLRACE_KAFKA", "security.protocol=SSL")
    with pytest.raises(SettingsError, match=r"MILLRACE_KAFKA.* must be JSON; got .*kafka"):
        read_settings()


@pytest.mark.parametrize("chain", ["", "nothing", "ingest", "default,default"])
def test_unknown_chain(chain: str) -> None:
    """A chain that does not exist is refused, with those that do."""
    with pytest.raises(SettingsError, match=r"chain must be one of default, full, split.*; got "):
        read_settings(chain=chain)


def test_unknown_setting() -> None:
    """What is not a setting is refused by name."""
    with pytest.raises(SettingsError, match="setting colour"):
        read_settings(colour="blue")


def test_frozen() -> None:
    """Settings do not change once they are read."""
    with pytest.raises(ValidationError):
        read_settings().partitions = 3  # type: ignore[misc]


def test_secrets_do_not_show() -> None:
    """The key that signs state shows neither in text nor in logs."""
    settings = read_settings(state_key="s3cret")
    assert "s3cret" not in repr(settings) + str(settings)
    assert settings.state_key.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    ("broker", "embedded", "bootstrap"),
    [
        ("embedded", True, "embedded"),
        ("embedded://127.0.0.1:4040", True, "127.0.0.1:4040"),
        ("kafka:9092,other:9092", False, "kafka:9092,other:9092"),
    ],
)
def test_brokers(broker: str, embedded: bool, bootstrap: str) -> None:
    """The embedded broker is here or at an address; it has no transactions to give."""
    settings = Settings(broker=broker)
    assert (settings.is_embedded, settings.bootstrap) == (embedded, bootstrap)
    asked = Guarantee.EXACTLY_ONCE
    assert settings.processing_guarantee is asked
    assert settings.guarantee is (Guarantee.AT_LEAST_ONCE if embedded else asked)


def test_an_unknown_format_is_refused() -> None:
    """`outputs` names one of the formats that there are; the message lists them."""
    with pytest.raises(SettingsError, match=r"outputs must be one of avro, json; got 'xml'"):
        read_settings(outputs="xml")
