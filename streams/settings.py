"""Settings: one frozen object, read once, handed down.

Each comes from an environment variable with the prefix `MILLRACE_` (`MILLRACE_BROKER`), or from
a command's option, which wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting

from millrace.schemas import SettingsError
from millrace.streams.formats import FORMATS
from millrace.streams.topology.chain import AgentSpec, parse_chain

_PREFIX = "MILLRACE_"
EMBEDDED = "embedded"
_SECRET = ("kafka", "state_key")
_EMBEDDED_ELSEWHERE = "embedded://"


class Guarantee(StrEnum):
    """What a crash may do to outputs. Learning is exactly once in either."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


class Settings(BaseSettings):
    """Everything that a deployment may choose.

    Raises
    ------
    pydantic.ValidationError
        A value is wrong; `read_settings` turns it into a `SettingsError`.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    pipeline: str = Field("", description="Definition, as module:attribute or file.py:attribute.")
    pipeline_name: str = Field("", description="Another name for the pipeline and its topics.")
    broker: str = Field(EMBEDDED, description="Bootstrap servers, or 'embedded'.")
    kafka: dict[str, str] = Field(
        default_factory=dict,
        description="More librdkafka properties for every client, for example TLS and SASL.",
    )
    schema_registry_url: str = Field(
        "",
        validation_alias=AliasChoices(
            "schema_registry_url", "MILLRACE_SCHEMA_REGISTRY_URL", "SCHEMA_REGISTRY_URL"
        ),
    )
    chain: str = Field("default", description="Which operators share an agent.")
    partitions: int = Field(4, ge=1, description="Of topics that do not exist yet.")
    replication: int = Field(-1, ge=-1, description="Of such topics; -1 for the broker's default.")
    retention_hours: float = Field(168, gt=0, description="Of such topics.")
    processing_guarantee: Guarantee = Guarantee.EXACTLY_ONCE
    outputs: str = Field("avro", description="Format of the topics that users consume.")
    max_event_bytes: int = Field(512 * 1024, ge=1, description="A larger record is rejected.")
    batch_records: int = Field(2_000, ge=1, description="Records in one transaction, at most.")
    flush_seconds: float = Field(10, gt=0, description="Between two writes of the state.")
    publish_seconds: float = Field(1, gt=0, description="The same, where prediction follows it.")
    stall_seconds: float = Field(60, gt=0, description="Without progress, until it is a stall.")
    accept_gaps: bool = Field(False, description="Go on without input that has expired.")
    session_timeout_seconds: float = Field(45, gt=0, description="Until a silent worker is out.")
    group_instance_id: str = Field("", description="Static membership: a name for this worker.")
    state_key: SecretStr = Field(SecretStr(""), description="Signs saved state.")
    processes: int = Field(1, ge=1, description="Workers on this machine, supervised.")
    web_host: str = "127.0.0.1"
    web_port: int = Field(6066, ge=0, le=65535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"

    @field_validator("chain")
    @classmethod
    def _chain_exists(cls, value: str) -> str:
        parse_chain(value)
        return value

    @field_validator("outputs")
    @classmethod
    def _format_exists(cls, value: str) -> str:
        if value not in FORMATS:
            raise SettingsError(f"outputs must be one of {', '.join(FORMATS)}; got {value!r}")
        return value

    @property
    def agents(self) -> tuple[AgentSpec, ...]:
        """The agents that the chain setting describes."""
        return parse_chain(self.chain)

    @property
    def is_embedded(self) -> bool:
        """Whether the broker is librdkafka's, here or (embedded://host:port) in another process."""
        return self.broker == EMBEDDED or self.broker.startswith(_EMBEDDED_ELSEWHERE)

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers as clients want them."""
        return self.broker.removeprefix(_EMBEDDED_ELSEWHERE)

    @property
    def guarantee(self) -> Guarantee:
        """What the broker can give of what is asked for: the embedded one has no isolation."""
        return Guarantee.AT_LEAST_ONCE if self.is_embedded else self.processing_guarantee


def unknown_settings(environment: Iterable[str]) -> list[str]:
    """Return the names that look like settings and are none: perhaps misspelt.

    Examples
    --------
    >>> unknown_settings(["MILLRACE_BROKER", "MILLRACE_BROKERS", "PATH"])
    ['MILLRACE_BROKERS']
    """
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    return sorted(name for name in environment if name.startswith(_PREFIX) and name not in known)


def read_settings(**given: Any) -> Settings:
    """Return the settings: those given that are not None, then the environment's.

    Raises
    ------
    SettingsError
        Naming the setting, what it requires and what it got.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"setting {name} (MILLRACE_{name.upper()}): {_lower(first['msg'])};"
            f" got {'a secret' if name.startswith(_SECRET) else repr(first.get('input'))}"
        ) from None
    except UnreadableSetting as error:
        raise SettingsError(
            f"settings of several values (MILLRACE_KAFKA) must be JSON; got {error}"
        ) from None


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
