"""Options that are settings reach a command as one object."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from millrace.schemas import SettingsError
from millrace.streams.cli.options import (
    chain_option,
    pass_settings,
    pipeline_option,
    require_broker,
    running_broker,
    setting,
)
from millrace.streams.settings import Settings


@pytest.fixture
def seen():
    return []


@pytest.fixture
def call(seen, monkeypatch):
    """Run a command with every kind of option; return what click makes of it."""
    monkeypatch.delenv("MILLRACE_PARTITIONS", raising=False)

    @click.command()
    @pipeline_option
    @running_broker
    @chain_option
    @setting("partitions", metavar="N")
    @setting("log_level", choices=["info", "debug"])
    @setting("broker", "--elsewhere", help="Somewhere else.")
    @click.option("--own")
    @pass_settings
    def command(settings: Settings, own: str | None) -> None:
        seen.append((settings, own))

    return lambda *arguments: CliRunner().invoke(command, [*arguments])


def test_settings_and_own_options_come_to_the_command(call, seen):
    """What is given is in the settings, and the rest has its default."""
    found = call("-p", "p.py", "-b", "here:9092", "--partitions", "7", "--own", "x")
    assert found.exit_code == 0
    settings, own = seen[0]
    assert (settings.pipeline, settings.partitions, own) == ("p.py", 7, "x")
    assert settings.chain == "default"


def test_an_option_wins_over_the_environment(call, seen, monkeypatch):
    """A variable is used only if the option is not given."""
    monkeypatch.setenv("MILLRACE_PARTITIONS", "3")
    call()
    call("--partitions", "5")
    assert [settings.partitions for settings, _ in seen] == [3, 5]


def test_properties_of_the_clients_add_up(call, seen):
    """--kafka may be repeated, and a value may contain an equals sign."""
    call("--kafka", "linger.ms=1", "--kafka", "client.id=x=y")
    assert seen[0][0].kafka == {"linger.ms": "1", "client.id": "x=y"}


def test_properties_come_beside_those_of_the_environment(call, seen, monkeypatch):
    """So that secrets stay off the command line; an option wins."""
    monkeypatch.setenv("MILLRACE_KAFKA", '{"sasl.username": "anna", "client.id": "a"}')
    monkeypatch.setenv("MILLRACE_KAFKA_SASL_PASSWORD", "s3cret")
    call("--kafka", "client.id=b")
    expected = {"sasl.username": "anna", "sasl.password": "s3cret", "client.id": "b"}
    assert seen[0][0].kafka == expected


@pytest.mark.parametrize("given", ["a", "=1"])
def test_a_property_without_a_name_or_a_value_is_an_error(call, given):
    """click says what it must look like."""
    found = call("--kafka", given)
    assert found.exit_code == 2
    assert "must be KEY=VALUE" in found.output


def test_help_has_the_settings_descriptions_and_defaults(call):
    """Each is written once, with the setting."""
    shown = " ".join(call("--help").output.split())
    assert "--partitions N Partitions of a topic that is created. [default: 4]" in shown
    assert "--log-level [info|debug]" in shown
    assert "-b, --broker HOST:PORT Bootstrap servers of Kafka. " in shown
    assert "--elsewhere TEXT Somewhere else. " in shown
    assert "`pipeline`. -b" in shown, "no default is shown where there is none"


def test_a_choice_is_checked(call):
    """A value that does not exist is wrong usage."""
    assert call("--log-level", "loud").exit_code == 2


def test_commands_on_a_broker_refuse_the_embedded_one():
    """It would be empty: it belongs to the process that started it."""
    with pytest.raises(SettingsError, match=r"broker must be.*--broker host:port.*MILLRACE_BROKER"):
        require_broker(Settings(broker="embedded"))
    require_broker(Settings(broker="embedded://127.0.0.1:4040"))
    require_broker(Settings(broker="localhost:9092"))
