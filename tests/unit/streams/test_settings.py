"""Settings come from the environment or are given, are checked, and errors name what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from millrace.models.pipeline.definition import Pipeline
from millrace.schemas import SettingsError
from millrace.streams.redaction import redact
from millrace.streams.settings import Guarantee, Settings, read_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of this machine."""
    for name in os.environ:
        if name.startswith("MILLRACE_") or name == "SCHEMA_REGISTRY_URL":
            monkeypatch.delenv(name)


def test_defaults(make_pipeline: Callable[..., Pipeline]) -> None:
    """Without any setting: an embedded broker, the default chain, on loopback."""
    settings = read_settings()
    assert (settings.broker, settings.chain, settings.outputs) == ("embedded", "default", "avro")
    assert settings.web_host == "127.0.0.1"
    assert (settings.partitions, settings.replication, settings.retention_hours) == (4, -1, 168)
    assert (settings.max_event_bytes, settings.batch_records) == (512 * 1024, 20_000)
    assert (settings.flush_seconds, settings.publish_seconds, settings.stall_seconds) == (10, 1, 60)
    assert (settings.processes, settings.web_port) == (1, 6066)
    assert settings.session_timeout_seconds == 45
    assert (settings.accept_gaps, settings.group_instance_id) == (False, "")
    assert (settings.log_level, settings.log_format) == ("info", "auto")
    assert settings.state_key.get_secret_value() == ""
    assert [agent.name for agent in settings.agents_of(make_pipeline())] == [
        "ingest", "feature", "prediction-learning", "drift", "control", "selection"
    ]  # fmt: skip


def test_what_is_given_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over the environment, which wins over the default; None is not given."""
    monkeypatch.setenv("MILLRACE_PARTITIONS", "7")
    monkeypatch.setenv("MILLRACE_CHAIN", "full")
    settings = read_settings(partitions=9, chain=None)
    assert (settings.partitions, settings.chain) == (9, "full")


def test_topics_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs by commas, or as one process gives them to another."""
    for text in (" a = prod.a, b=prod.b ,", '{"a": "prod.a", "b": "prod.b"}'):
        monkeypatch.setenv("MILLRACE_TOPICS", text)
        assert read_settings().topics == {"a": "prod.a", "b": "prod.b"}


_NO_JSON = ['{"a": "b c"}', '{"a": 7}', '{"a": {"b": "c"}}', '{"a": "b", "a": "c"}']


@pytest.mark.parametrize(
    "text", ["a", "a=", "=b", "a=b,c", "{a", "[1]", "a=b c", "a=b=c", "a=..", "a=b,a=c", *_NO_JSON]
)
def test_topics_that_are_no_pairs_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The error names the form."""
    monkeypatch.setenv("MILLRACE_TOPICS", text)
    with pytest.raises(SettingsError, match="topics must be pairs name=name"):
        read_settings()


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


def test_the_registry_with_the_prefix_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it is empty: then this worker has no registry."""
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://shared")
    assert read_settings().schema_registry_url == "http://shared"
    monkeypatch.setenv("MILLRACE_SCHEMA_REGISTRY_URL", "")
    assert read_settings().schema_registry_url == ""


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("partitions", "0", "greater than or equal to 1"),
        ("partitions", "many", "a valid integer"),
        ("replication", "-2", "greater than or equal to -1"),
        ("retention_hours", "0", "greater than 0"),
        ("web_port", "65536", "less than or equal to 65535"),
        ("web_port", "-1", "greater than or equal to 0"),
        ("flush_seconds", "0", "greater than 0"),
        ("tick_seconds", "-1", "greater than or equal to 0"),
        ("tick_seconds", "3601", "less than or equal to 3600"),
        ("publish_seconds", "0", "greater than 0"),
        ("stall_seconds", "0", "greater than 0"),
        ("session_timeout_seconds", "0", "greater than 0"),
        ("batch_records", "0", "greater than or equal to 1"),
        ("max_event_bytes", "0", "greater than or equal to 1"),
        ("processes", "0", "greater than or equal to 1"),
        ("processing_guarantee", "twice", "'exactly_once' or 'at_least_once'"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("log_format", "xml", "'auto', 'console' or 'json'"),
        ("kafka", "[1]", "a valid dictionary"),
        ("kafka", "5", "a valid dictionary"),
    ],
)
def test_errors_name_the_setting(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong value is an error with the setting, what it must be, what it got, its variable."""
    monkeypatch.setenv(f"MILLRACE_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    message = str(caught.value)
    got = "a secret" if name == "kafka" else repr(value)
    assert message.startswith(f"{name} must be {expected}")
    assert message.endswith(f"; got {got} (MILLRACE_{name.upper()})")


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (5, "5"), (1e3, "1000"), ("100", "100")],
)
def test_numbers_and_booleans_are_properties(value: object, text: str) -> None:
    """JSON has them, and librdkafka takes texts."""
    name = "socket.keepalive.enable" if isinstance(value, bool) else "linger.ms"
    assert read_settings(kafka={name: value}).kafka == {name: text}


@pytest.mark.parametrize(
    ("value", "got"), [(None, "null"), ({"a": 1}, "an object"), (["s3cret"], "another value")]
)
def test_other_values_are_no_properties(value: object, got: str) -> None:
    """A property may hold a password, so that its value is not repeated."""
    with pytest.raises(SettingsError) as caught:
        read_settings(kafka={"sasl.password": value})
    assert str(caught.value) == (
        f"kafka.sasl.password must be a text, a number or a boolean; got {got} (MILLRACE_KAFKA)"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("group.id", "mine", "kafka.group.id must not be set: .* pipeline_name"),
        ("isolation.level", "read_uncommitted", "must not be set: .* processing_guarantee"),
        ("linger", "5", r"kafka.linger is not a property of librdkafka. Did you mean linger.ms\?"),
        ("sasl.pasword", "s3cret", r"Did you mean sasl.password\?"),
        ("linger.ms", "soon", "must be a whole number from 0 to 900000; got 'soon'"),
        ("security.protocol", "TLS", "must be plaintext or ssl or sasl_plaintext or sasl_ssl"),
    ],
)
def test_wrong_properties_are_settings_errors(name: str, value: str, message: str) -> None:
    """They are found at the start, and named with what to do."""
    with pytest.raises(SettingsError, match=message) as caught:
        read_settings(kafka={name: value})
    assert str(caught.value).endswith("(MILLRACE_KAFKA)")
    assert "s3cret" not in str(caught.value)


def test_properties_that_are_given_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that gives properties, or none, gets no others from the environment."""
    monkeypatch.setenv("MILLRACE_KAFKA", '{"security.protocol": "SSL"}')
    monkeypatch.setenv("MILLRACE_KAFKA_SASL_PASSWORD", "s3cret")
    assert read_settings(kafka={}).kafka == {}
    assert read_settings(kafka={"client.id": "x"}).kafka == {"client.id": "x"}


def test_a_broker_with_a_password_is_refused() -> None:
    """It would be shown wherever the broker is; and the error does not show it."""
    with pytest.raises(SettingsError, match=r"broker must be host:port.*sasl.password") as caught:
        read_settings(broker="kafka://anna:s3cret@here:9092")
    assert "s3cret" not in str(caught.value)


def test_broken_json_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that is not JSON but must be is named, with an example and without its value."""
    monkeypatch.setenv("MILLRACE_KAFKA", "security.protocol=SSL")
    with pytest.raises(SettingsError, match=r"kafka must be a JSON object.*\(MILLRACE_KAFKA\)"):
        read_settings()


@pytest.mark.parametrize("chain", ["", "nothing", "ingest", "default,default"])
def test_unknown_chain(chain: str) -> None:
    """A chain that does not exist is an error that lists those that do."""
    with pytest.raises(SettingsError, match=r"chain must be one of default, full, split.*; got "):
        read_settings(chain=chain)


def test_unknown_setting() -> None:
    """A name that is not a setting is an error."""
    with pytest.raises(SettingsError, match="colour is not a setting; got 'blue'"):
        read_settings(colour="blue")


def test_frozen() -> None:
    """Settings do not change once they are read."""
    with pytest.raises(ValidationError):
        read_settings().partitions = 3  # type: ignore[misc]


SECRET = "s3cret-0815"


@pytest.mark.parametrize(
    "given",
    [
        {"state_key": SECRET},
        {"kafka": {"sasl.password": SECRET}},
        {"kafka": {"ssl.key.password": SECRET, "client.id": "x"}},
        {"kafka": {"ssl.key.pem": SECRET}},
        {"kafka": {"sasl.oauthbearer.client.secret": SECRET}},
        {"schema_registry_url": f"https://anna:{SECRET}@registry:8081"},
    ],
)
def test_secrets_do_not_show(given: dict[str, object]) -> None:
    """Settings show no secret as text, and from then on no redacted text shows it."""
    settings = read_settings(**given)
    assert SECRET not in repr(settings) + str(settings) + f"{settings}"
    assert any(SECRET in each for each in settings.secrets)
    assert redact(f"it is {SECRET}!") == "it is [hidden]!"


def test_errors_of_the_settings_object_do_not_show_secrets() -> None:
    """Nor does pydantic's own error."""
    with pytest.raises(ValidationError) as caught:
        Settings(state_key={"x": SECRET}, partitions=SECRET)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


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
    """The error lists the formats that exist."""
    with pytest.raises(SettingsError, match=r"must be one of avro, json, confluent; got 'xml'"):
        read_settings(outputs="xml")


def test_a_format_that_needs_a_registry_is_refused_without_one() -> None:
    """The error names the variable that is missing."""
    with pytest.raises(SettingsError, match=r"outputs is 'confluent'; got none\. Set SCHEMA_REG"):
        read_settings(outputs="confluent")
    read_settings(outputs="confluent", schema_registry_url="http://registry:8081")


PIPELINE = "millrace.models.pipelines.loans"


def test_the_pipeline_is_loaded_under_its_own_name_or_another() -> None:
    """`pipeline_name` renames the pipeline that `pipeline` names."""
    assert read_settings(pipeline=PIPELINE).load_pipeline().name == "loans"
    renamed = read_settings(pipeline=PIPELINE, pipeline_name="credits").load_pipeline()
    assert renamed.name == "credits"


def test_no_pipeline() -> None:
    """Without a pipeline, the error names the option and the variable."""
    for call in (read_settings().load_pipeline, read_settings().require_pipeline):
        with pytest.raises(SettingsError, match=r"^pipeline must be .*--pipeline.*_PIPELINE$"):
            call()
    assert read_settings(pipeline="p.py").require_pipeline() == "p.py"


def test_every_setting_is_described() -> None:
    """The command line and the documentation show a sentence for each."""
    for name, field in Settings.model_fields.items():
        assert (field.description or "")[:1].isalpha(), name
        assert (field.description or "").endswith("."), name
