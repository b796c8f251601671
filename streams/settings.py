"""Settings: one frozen object, read once at start and passed down.

Each comes from an environment variable with the prefix `MILLRACE_` (`MILLRACE_BROKER`) or the file
that one names (`streams.environment`), or from an option of the command line, which takes
precedence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import StrEnum
from typing import Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from millrace.models.pipeline.definition import Pipeline
from millrace.models.pipeline.loading import load_pipeline
from millrace.models.pipeline.sources import is_topic_name
from millrace.schemas import SettingsError
from millrace.streams.environment import (
    KAFKA,
    REGISTRY_URL,
    read_environment,
    unknown_variables,
    variable,
)
from millrace.streams.formats import FORMATS
from millrace.streams.kafka_properties import problem
from millrace.streams.redaction import is_secret, keep_secret, redact, redacted, secrets_of_url
from millrace.streams.registry_settings import RegistrySettings
from millrace.streams.retention import Tier, parse_retention
from millrace.streams.topology.chain import AGENTS_BESIDE, AgentSpec, parse_chain
from millrace.streams.topology.sources import sources_of

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "console", "json"]
Compression: TypeAlias = Literal["none", "gzip", "snappy", "lz4", "zstd"]

EMBEDDED = "embedded"
_EMBEDDED_ELSEWHERE = "embedded://"
_EXTRA = ("Extra inputs are not permitted", "is not a setting")


class Deploy(StrEnum):
    """When a worker puts its own definition in force."""

    NEW = "new"
    ALWAYS = "always"
    NEVER = "never"


class Guarantee(StrEnum):
    """How often an output is written if a worker crashes. Learning is exactly once in either."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


class Settings(BaseModel):
    """All settings of a deployment.

    Raises
    ------
    pydantic.ValidationError
        A value is wrong; `read_settings` turns it into a `SettingsError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    pipeline: str = Field(
        "",
        description="Pipeline: path/file.py or package.module, followed by :attribute unless the"
        " attribute is `pipeline`.",
    )
    pipeline_name: str = Field("", description="Another name for the pipeline and its topics.")
    broker: str = Field(
        EMBEDDED,
        description="Bootstrap servers of Kafka; `embedded` is a broker inside the worker.",
    )
    kafka: dict[str, str] = Field(
        default_factory=dict,
        description="librdkafka properties for every client, for TLS and SASL for example.",
    )
    oauth_token: str = Field(
        "",
        description="Function that fetches tokens for SASL OAUTHBEARER, as module:function.",
    )
    topics: dict[str, str] = Field(
        default_factory=dict,
        description="What topics of sources are called here: names of the definition to names.",
    )
    schema_registry_url: str = Field(
        "",
        description="Address of the schema registry, for records in Confluent wire format.",
    )
    schema_registry_user: str = Field("", description="User of the schema registry.")
    schema_registry_password: SecretStr = Field(SecretStr(""), description="Its password.")
    schema_registry_token: SecretStr = Field(
        SecretStr(""), description="Bearer token for the schema registry, instead of a user."
    )
    schema_registry_ca: str = Field(
        "", description="File of the authorities whose certificates the registry may have (PEM)."
    )
    chain: str = Field(
        "default",
        description="Which operators share an agent: default, full, split, or written out, for"
        " example ingest,feature+prediction+learning,drift.",
    )
    partitions: int = Field(4, ge=1, description="Partitions of a topic that is created.")
    replication: int = Field(
        -1, ge=-1, description="Replicas of a topic that is created; -1 for the broker's default."
    )
    retention_hours: float = Field(
        168, gt=0, description="Hours for which a topic that is created keeps its records."
    )
    processing_guarantee: Guarantee = Field(
        Guarantee.EXACTLY_ONCE, description="How often an output is written if a worker crashes."
    )
    outputs: str = Field("avro", description="Format of the topics that users consume.")
    compression: Compression = Field(
        "none", description="Compression of the topics that users consume."
    )
    max_event_bytes: int = Field(
        512 * 1024, ge=1, description="Largest event or label; a larger one is rejected."
    )
    batch_records: int = Field(20_000, ge=1, description="Most records in one transaction.")
    flush_seconds: float = Field(10, gt=0, description="Seconds between two writes of the state.")
    publish_seconds: float = Field(
        1,
        gt=0,
        description="Seconds between two versions of the models, where prediction has its own"
        " agent.",
    )
    stall_seconds: float = Field(
        60, gt=0, description="Seconds without progress after which an agent is stalled."
    )
    tick_seconds: float = Field(
        60,
        ge=0,
        le=3600,
        description="Seconds between two looks whether no events come, so that labels and windows"
        " time out all the same; 0 for never.",
    )
    accept_gaps: bool = Field(False, description="Skip input that expired before it was read.")
    session_timeout_seconds: float = Field(
        45, gt=0, description="Seconds without a heartbeat after which a worker is evicted."
    )
    group_instance_id: str = Field(
        "", description="Name of this worker, for static membership of its consumer groups."
    )
    state_key: SecretStr = Field(SecretStr(""), description="Key that signs saved state.")
    command_key: SecretStr = Field(
        SecretStr(""), description="Key that commands must be signed with; without, they need none."
    )
    deploy: Deploy = Field(
        Deploy.NEW,
        description="When a worker puts its own definition in force: new (one that never was),"
        " always, or never.",
    )
    archive: str = Field(
        "", description="Folder or URL (fsspec) for versions of the state; without, none is kept."
    )
    archive_keep: str = Field(
        "24h,31d,12mo",
        description="How many periods keep a version; the shortest is how often one is written.",
    )
    processes: int = Field(1, ge=1, description="Worker processes on this machine.")
    expected_workers: int = Field(
        1, ge=1, description="Worker processes there should be, on all machines: for alerts."
    )
    web_host: str = Field(
        "127.0.0.1", description="Address of the server of /metrics, /healthz and /readyz."
    )
    web_port: int = Field(6066, ge=0, le=65535, description="Port of that server; 0 for any.")
    serve_host: str = Field("127.0.0.1", description="Address on which `millrace serve` listens.")
    serve_port: int = Field(
        6067, ge=0, le=65535, description="Port on which `millrace serve` listens; 0 for any."
    )
    serve_tokens: str = Field(
        "", description="File of the tokens with which `millrace serve` may be used."
    )
    serve_rate: float = Field(
        2_000,
        ge=0,
        description="Requests, events and labels of one client of `millrace serve` in a second; 0"
        " for any number.",
    )
    log_level: LogLevel = Field("info", description="Least severe messages that are logged.")
    log_format: LogFormat = Field(
        "auto", description="Format of the log; auto is console on a terminal, else json."
    )

    @field_validator("chain")
    @classmethod
    def _chain_exists(cls, value: str) -> str:
        parse_chain(value)
        return value

    @field_validator("archive_keep")
    @classmethod
    def _retention_is_known(cls, value: str) -> str:
        parse_retention(value)
        return value

    @field_validator("outputs")
    @classmethod
    def _format_exists(cls, value: str) -> str:
        if value not in FORMATS:
            raise SettingsError(f"outputs must be one of {', '.join(FORMATS)}; got {value!r}")
        return value

    @model_validator(mode="after")
    def _registry_can_be_asked(self) -> Self:
        self.registry.check()
        if FORMATS[self.outputs].needs_registry and not self.registry.urls:
            raise SettingsError(
                f"schema_registry_url must be set where outputs is {self.outputs!r}; got none."
                f" Set {REGISTRY_URL}"
            )
        return self

    @field_validator("broker")
    @classmethod
    def _broker_has_no_password(cls, value: str) -> str:
        if "@" in value:
            raise SettingsError(
                f"broker must be host:port; got {redact(value)!r}. Set user and password as the"
                " properties sasl.username and sasl.password of the setting kafka"
            )
        return value

    @field_validator("topics", mode="before")
    @classmethod
    def _topics_are_named(cls, given: object) -> object:
        """Return names by name, given as pairs, or as JSON: so processes give them to another."""
        pairs = _pairs(given)
        are_names = all(is_topic_name(each) for pair in pairs for each in pair)
        if not are_names or len(dict(pairs)) < len(pairs):
            raise SettingsError(
                f"topics must be pairs name=name of topics, by commas, each once; got {given!r}"
                f" ({variable('topics')})"
            )
        return dict(pairs)

    @field_validator("kafka", mode="before")
    @classmethod
    def _properties_exist(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given  # which pydantic refuses
        properties = {str(name): _as_property(str(name), value) for name, value in given.items()}
        for name, value in properties.items():
            if wrong := problem(name, value):
                raise SettingsError(f"kafka.{name} {wrong} ({variable(KAFKA)})")
        return properties

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        for name, value in super().__repr_args__():
            yield name, value if isinstance(value, SecretStr) else redacted(value)

    @property
    def secrets(self) -> list[str]:
        """All values that must not leave the process."""
        values = [(name, getattr(self, name)) for name in type(self).model_fields]
        own = [each.get_secret_value() for _, each in values if isinstance(each, SecretStr)]
        properties = [value for name, value in self.kafka.items() if is_secret(name)]
        users = [
            part for _, each in values if isinstance(each, str) for part in secrets_of_url(each)
        ]
        return [each for each in (*own, *properties, *users) if each]

    def agents_of(self, pipeline: Pipeline) -> tuple[AgentSpec, ...]:
        """Return the agents that the chain setting describes, and the one that takes commands."""
        sources = frozenset(sources_of(pipeline, self.topics))
        return (*parse_chain(self.chain, sources), *AGENTS_BESIDE)

    @property
    def retention(self) -> tuple[Tier, ...]:
        """Which versions the archive keeps."""
        return parse_retention(self.archive_keep)

    @property
    def registry(self) -> RegistrySettings:
        """Where the schema registry is, and who asks it."""
        return RegistrySettings(
            url=self.schema_registry_url,
            user=self.schema_registry_user,
            password=self.schema_registry_password.get_secret_value(),
            token=self.schema_registry_token.get_secret_value(),
            ca=self.schema_registry_ca,
        )

    @property
    def is_embedded(self) -> bool:
        """Whether the broker is librdkafka's, here or (embedded://host:port) in another process."""
        return self.broker == EMBEDDED or self.broker.startswith(_EMBEDDED_ELSEWHERE)

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers in the form that clients take."""
        return self.broker.removeprefix(_EMBEDDED_ELSEWHERE)

    @property
    def guarantee(self) -> Guarantee:
        """The guarantee in force: the embedded broker has no transactions."""
        return Guarantee.AT_LEAST_ONCE if self.is_embedded else self.processing_guarantee

    def require_pipeline(self) -> str:
        """Return where the pipeline's definition is.

        Raises
        ------
        SettingsError
            None is set.
        """
        if not self.pipeline:
            raise SettingsError(
                "pipeline must be path/file.py or package.module; got none. Add --pipeline, or set"
                f" {variable('pipeline')}"
            )
        return self.pipeline

    def load_pipeline(self) -> Pipeline:
        """Return the pipeline, under the name that `pipeline_name` gives it.

        Raises
        ------
        SettingsError, DefinitionError
            None is set, or its definition is wrong.
        """
        pipeline = load_pipeline(self.require_pipeline())
        return pipeline.with_name(self.pipeline_name) if self.pipeline_name else pipeline


def unknown_settings(environment: Iterable[str]) -> dict[str, str]:
    """Return the variables that look like settings and are none, and the nearest that is one.

    Examples
    --------
    >>> unknown_settings(["MILLRACE_BROKER", "MILLRACE_BROKERS", "PATH"])
    {'MILLRACE_BROKERS': 'MILLRACE_BROKER'}
    """
    return unknown_variables(Settings.model_fields, environment)


def read_settings(**given: object) -> Settings:
    """Return the settings: those given that are not None, then the environment's.

    From now on their secrets are hidden in whatever is logged or printed.

    Raises
    ------
    SettingsError
        A value is wrong; the message names the setting and its variable.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    others = [name for name in Settings.model_fields if name not in chosen]
    try:
        settings = Settings(**read_environment(others, os.environ), **chosen)  # type: ignore[arg-type]  # pydantic checks the types
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    keep_secret(settings.secrets)
    return settings


def _pairs(given: object) -> list[tuple[str, str]]:
    """Return names of topics with names, however they are written; empty names for none."""
    if isinstance(given, str) and given.strip().startswith("{"):
        with suppress(ValueError):
            given = json.loads(given, object_pairs_hook=list)
    if isinstance(given, str):
        pairs = [each.partition("=") for each in given.split(",") if each.strip()]
        return [(name.strip(), there.strip()) for name, _, there in pairs]
    items = [*given.items()] if isinstance(given, dict) else given
    if not isinstance(items, list) or not all(isinstance(each, tuple) for each in items):
        return [("", "")]
    return [(str(name), there if isinstance(there, str) else "") for name, there in items]


def _as_property(name: str, value: object) -> str:
    """Return a property as librdkafka takes it: numbers and booleans as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    kind = "null" if value is None else "an object" if isinstance(value, dict) else "another value"
    raise SettingsError(
        f"kafka.{name} must be a text, a number or a boolean; got {kind} ({variable(KAFKA)})"
    )


def _explain(error: ValidationError) -> str:
    """Say what is wrong with the first wrong setting."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    must = first["msg"].replace("Input should", "must").replace(*_EXTRA)
    field = Settings.model_fields.get(name)
    hidden = name.startswith(KAFKA) or is_secret(name) or (field and field.annotation is SecretStr)
    got = "a secret" if hidden else repr(redacted(first["input"]))
    return f"{name} {must}; got {got} ({variable(str(first['loc'][0]))})"
