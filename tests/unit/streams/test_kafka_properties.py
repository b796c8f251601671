"""The table of properties is librdkafka's, and what carries a guarantee is not for users to set."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import confluent_kafka
import pytest

from millrace.streams.kafka_properties import PROPERTIES, RESERVED, for_clients, problem
from tests.conftest import NOT_TESTED

NO_TEXT = re.compile(
    r"_cb$|^(opaque|default_topic_conf|interceptors|enabled_events|msg_order_cmp|builtin\.features"
    r"|ssl_key|ssl_certificate|ssl_ca|ssl_engine_callback_data|internal\.termination\.signal)$"
)


@pytest.fixture
def librdkafka(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Give scope and values of each property, as the library itself lists them."""
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    libraries = [*folder.glob("librdkafka*")]
    if not libraries:
        pytest.skip(f"{NOT_TESTED} WITH THE PROPERTIES OF LIBRDKAFKA: it is the system's")
    library, c = ctypes.CDLL(str(libraries[0])), ctypes.CDLL(None)
    c.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(c.fopen(str(tmp_path / "list").encode(), b"w"))
    library.rd_kafka_conf_properties_show(file)
    c.fclose(file)
    lines = (tmp_path / "list").read_text().splitlines()
    rows = ([cell.strip() for cell in line.split("|")] for line in lines)
    listed: dict[str, tuple[str, str]] = {}
    for name, *row in (each for each in rows if len(each) > 5 and each[1] in {"*", "C", "P"}):
        values = row[1].replace(" .. ", "..").replace(", ", "|")
        if not NO_TEXT.search(name):
            listed.setdefault(name, (row[0], values))
    return listed


def test_the_table_is_that_of_librdkafka(librdkafka: dict[str, tuple[str, str]]) -> None:
    """A release with other properties makes this test fail: then the table follows it."""
    assert {*PROPERTIES} | {*RESERVED} == {*librdkafka}
    for name, (scope, values) in PROPERTIES.items():
        assert scope == librdkafka[name][0], name
        if values:
            assert values == librdkafka[name][1], name


def test_no_property_is_both_free_and_reserved() -> None:
    """A user may set it or may not."""
    assert not {*PROPERTIES} & {*RESERVED}


@pytest.mark.parametrize("name", RESERVED)
def test_what_carries_a_guarantee_is_refused(name: str) -> None:
    """The error says why, or which setting to use."""
    assert problem(name, "x") == f"must not be set: {RESERVED[name]}"


@pytest.mark.parametrize(("value", "is_right"), [("1", True), ("5", True), ("6", False)])
def test_five_requests_in_flight_keep_the_order(value: str, is_right: bool) -> None:
    """With more, idempotence does not."""
    assert (problem("max.in.flight", value) == "") is is_right


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SASL.PASSWORD", "Did you mean sasl.password?"),
        ("sasl_password", "Did you mean sasl.password?"),
        (" sasl.password", "Did you mean sasl.password?"),
        ("security.protocl", "Did you mean security.protocol?"),
        ("groupid", "Did you mean group.id?"),
        ("sasl.jaas.config", "use sasl.username and sasl.password"),
        ("ssl.truststore.location", "use ssl.ca.location, with a PEM file"),
    ],
)
def test_a_misspelt_name_has_a_neighbour(name: str, hint: str) -> None:
    """And one of Java's clients the property that does the same."""
    assert problem(name, "x").endswith(hint)


def test_a_name_like_no_other() -> None:
    """There is nothing to suggest."""
    assert problem("colour", "x") == "is not a property of librdkafka"


@pytest.mark.parametrize(
    ("name", "value", "is_right"),
    [
        ("linger.ms", "0", True),
        ("linger.ms", "-1", False),
        ("linger.ms", "1.5", False),
        ("linger.ms", "", False),
        ("topic.metadata.refresh.interval.ms", "-1", True),
        ("socket.keepalive.enable", "TRUE", True),
        ("socket.keepalive.enable", "yes", False),
        ("security.protocol", "SASL_SSL", True),
        ("client.id", "anything at all", True),
    ],
)
def test_values_are_those_of_the_table(name: str, value: str, is_right: bool) -> None:
    """A text can be any; a number is within its range; of words, it is one."""
    assert (problem(name, value) == "") is is_right


def test_a_client_is_given_what_it_knows() -> None:
    """librdkafka warns of a property of consumers that a producer has."""
    given = {"client.id": "x", "linger.ms": "5", "fetch.min.bytes": "1", "max.in.flight": "2"}
    assert {*for_clients(given, "C")} == {"client.id", "fetch.min.bytes", "max.in.flight"}
    assert {*for_clients(given, "P")} == {"client.id", "linger.ms", "max.in.flight"}
    assert {*for_clients(given, "*")} == {"client.id", "max.in.flight"}
