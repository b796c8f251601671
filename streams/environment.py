"""Settings from environment variables, and secrets from files.

A setting is a variable: `MILLRACE_BROKER`. A property of the Kafka clients is one, too:
`MILLRACE_KAFKA_SASL_PASSWORD` is `sasl.password`, beside the JSON object `MILLRACE_KAFKA`. Any of
them can name a file that has the value, with `_FILE` behind it: `MILLRACE_STATE_KEY_FILE`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from millrace.schemas import SettingsError
from millrace.streams.kafka_properties import PROPERTIES, RESERVED

PREFIX = "MILLRACE_"
KAFKA = "kafka"
REGISTRY_URL = "SCHEMA_REGISTRY_URL"  # as in other tools; with the prefix, it wins

_FILE = "_FILE"
_MOST_BYTES = 1_000_000
_JSON_EXAMPLE = '{"security.protocol": "SASL_SSL"}'


def variable(name: str) -> str:
    """Return the environment variable of a setting.

    Examples
    --------
    >>> variable("flush_seconds")
    'MILLRACE_FLUSH_SECONDS'
    """
    return PREFIX + name.upper()


_KAFKA_PREFIX = variable(KAFKA) + "_"
_PROPERTY_OF = {
    _KAFKA_PREFIX + name.upper().replace(".", "_"): name for name in (*PROPERTIES, *RESERVED)
}


def read_environment(names: Collection[str], environment: Mapping[str, str]) -> dict[str, object]:
    """Return the settings that an environment has, as texts by name.

    Raises
    ------
    SettingsError
        A file cannot be read, a value is given twice, or there is no such Kafka property.
    """
    found: dict[str, object] = {}
    for name in names:
        value = _value(variable(name), environment)
        if value is None and variable(name) == PREFIX + REGISTRY_URL:
            value = _value(REGISTRY_URL, environment)
        if value is not None:
            found[name] = value
    if KAFKA in names and (kafka := _kafka(found.pop(KAFKA, None), environment)) is not None:
        found[KAFKA] = kafka
    return found


def unknown_variables(names: Collection[str], environment: Iterable[str]) -> dict[str, str]:
    """Return the variables that look like settings and are none: perhaps misspelt; and the nearest.

    Examples
    --------
    >>> unknown_variables(["broker"], ["MILLRACE_BROKER_FILE", "MILLRACE_BROKERS", "PATH"])
    {'MILLRACE_BROKERS': 'MILLRACE_BROKER'}
    """
    known = {*map(variable, names), *_PROPERTY_OF}
    unknown = sorted(
        each
        for each in environment
        if each.startswith(PREFIX) and not {each, each.removesuffix(_FILE)} & known
    )
    return {each: _nearest(each, known) for each in unknown}


def _value(name: str, environment: Mapping[str, str]) -> str | None:
    """Return what a variable has, or the file that it names."""
    path = environment.get(name + _FILE)
    if path is None:
        return environment.get(name)
    if environment.get(name):
        raise SettingsError(f"{name} and {name}{_FILE} must not be set together: remove one")
    return _content(path, name + _FILE)


def _content(path: str, name: str) -> str:
    """Return a file's text without the newline at its end."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{name} must name a file of UTF-8 text; got {path!r}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise SettingsError(
            f"{name} must name a file that can be read; got {path!r}: {reason}"
        ) from None
    if len(data) > _MOST_BYTES:
        raise SettingsError(f"{name} must name a file of at most 1 MB; got {path!r}")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise SettingsError(f"{name} must name a file with the value; got {path!r}, which is empty")
    return text


def _kafka(document: object, environment: Mapping[str, str]) -> object:
    """Return the clients' properties: a JSON object, and a variable for each."""
    given: object = None if document is None else _parsed(str(document))
    own = {}
    for name in sorted(environment):
        if not name.startswith(_KAFKA_PREFIX) or name == variable(KAFKA) + _FILE:
            continue
        known = name if name in _PROPERTY_OF else name.removesuffix(_FILE)
        if known not in _PROPERTY_OF:
            nearest = _nearest(known, _PROPERTY_OF)
            hint = f". Did you mean {nearest}?" if nearest else ""
            raise SettingsError(f"{name} must name a property of librdkafka; it names none{hint}")
        own[known] = _value(known, environment)
    properties = {_PROPERTY_OF[name]: value for name, value in own.items()}
    if given is None:
        return properties or None
    if not isinstance(given, dict):
        return given  # which the settings refuse
    twice = sorted({*given} & {*properties})
    if twice:
        raise SettingsError(f"{twice[0]} must be set once; got it in {variable(KAFKA)} and alone")
    return {**given, **properties}


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SettingsError(
            f"kafka must be a JSON object, for example {_JSON_EXAMPLE};"
            f" got another text ({variable(KAFKA)})"
        ) from None


def _nearest(name: str, known: Collection[str]) -> str:
    return next(iter(get_close_matches(name.removesuffix(_FILE), [*known], n=1, cutoff=0.75)), "")
