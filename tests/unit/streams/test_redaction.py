"""No secret is left in a redacted text, in whatever form it comes; what is none stays."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from urllib.parse import quote

import pytest

from millrace.streams.redaction import keep_secret, redact, redacted, secrets_of_url

SECRET = "p@ss/w0rd'!"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://u:p@host:1/x", "http://[hidden]@host:1/x"),
        ("at https://token@host.", "at https://[hidden]@host."),
        ("https://u:p@ss@host/a", "https://[hidden]@host/a"),
        ("https://u:p/ss@host/a", "https://[hidden]@host/a"),
        ("'http://u:p@a,http://v:q@b'", "'http://[hidden]@a,http://[hidden]@b'"),
        ("https://h/a?b=1&access_token=t&c=2", "https://h/a?b=1&access_token=[hidden]&c=2"),
        ("https://h/a?sig=t%2F&c=2", "https://h/a?sig=[hidden]&c=2"),
        ("sasl.password=abc, x", "sasl.password=[hidden], x"),
        ("sasl.password = abc", "sasl.password = [hidden]"),
        ("{'sasl.password': 'a b'}", "{'sasl.password': [hidden]}"),
        ('{"ssl.key.password": "a\\"b", "c": 1}', '{"ssl.key.password": [hidden], "c": 1}'),
        ("MILLRACE_STATE_KEY=abc", "MILLRACE_STATE_KEY=[hidden]"),
        ("PASSWORD: abc", "PASSWORD: [hidden]"),
        ('"{\\"sasl.password\\": \\"abc\\"}"', '"{\\"sasl.password\\": [hidden]}"'),
        (
            "sasl.jaas.config=org.X required username='u' password=\"p q\";",
            "sasl.jaas.config=[hidden] required username='u' password=[hidden];",
        ),
        ("basic.auth.user.info=u:p", "basic.auth.user.info=[hidden]"),
        ("sasl.oauthbearer.client.secret=abc", "sasl.oauthbearer.client.secret=[hidden]"),
        ("Authorization: Basic dTpw", "Authorization: [hidden]"),
        ("{'Authorization': 'Bearer abc', 'x': 1}", "{'Authorization': [hidden], 'x': 1}"),
        ("sent Basic dXNlcjpwYXNz=", "sent Basic [hidden]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln", "[hidden]"),
        ("-----BEGIN RSA PRIVATE KEY-----\na\n-----END RSA PRIVATE KEY-----!", "[hidden]!"),
        ("-----BEGIN PRIVATE KEY-----\\nMIIcut off", "[hidden]"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, expected: str) -> None:
    """Without knowing its value; hiding again changes nothing."""
    assert redact(text) == expected
    assert redact(redact(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://registry:8081/schemas/ids/7",
        "see http://host/path?mail=a@b",
        "mail to a@b.c",
        "ssl.key.location=/etc/key.pem is missing",
        "SASL authentication error: Invalid username or password (after 3ms in state AUTH_REQ)",
        'No such configuration property: "sasl.pasword"',
        "basic authentication failed, Bearer authentication too",
        "loans.events[3]@17: field 'amount' must be a number; got 'x'",
        "sasl.username=anna",
    ],
)
def test_other_texts_stay(text: str) -> None:
    """A message that says what is wrong must still say it."""
    assert redact(text) == text


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        json.dumps(SECRET),
        repr(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        f"before{SECRET}after",
    ],
)
def test_a_known_secret_is_hidden_in_every_form(form: str) -> None:
    """As URLs, JSON, Python and basic authentication write it, wherever it stands."""
    keep_secret([SECRET])
    shown = redact(f"failed: {form}")
    assert "[hidden]" in shown
    assert form.strip("'\"") not in shown


def test_a_short_secret_is_hidden_as_a_word() -> None:
    """Else it would be cut out of others; one of three letters is known by its name only."""
    keep_secret(["bird", "abc", ""])
    assert redact("bird, birds, abc") == "[hidden], birds, abc"


def test_every_line_of_a_secret_is_hidden() -> None:
    """A key in a file has several."""
    keep_secret(["MIIEvQIBADANBgkqhkiG\nAoIBAQDRexampleexample"])
    assert redact("at AoIBAQDRexampleexample") == "at [hidden]"


def test_values_keep_their_shape() -> None:
    """What a log line carries is redacted inside, and under the names of secrets."""
    keep_secret([SECRET])
    value = {"n": 1, "b": True, "none": None, "list": (SECRET, 2), "state_key": "x", "token": ""}
    assert redacted(value) == {
        "n": 1,
        "b": True,
        "none": None,
        "list": ["[hidden]", 2],
        "state_key": "[hidden]",
        "token": "",
    }
    assert redacted(ValueError(f"bad {SECRET}")) == 'ValueError("bad [hidden]")'
    assert redacted(b"password=x") == "b'password=[hidden]'"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://registry:8081", []),
        ("http://registry:8081/a@b", []),
        ("http://u:p@registry", ["u:p", "p"]),
        ("http://token@registry", ["token"]),
        ("http://u:p/q@registry", ["u:p/q", "p/q"]),
        ("not a url", []),
    ],
)
def test_secrets_of_urls(url: str, found: list[str]) -> None:
    """User and password before the host."""
    assert secrets_of_url(url) == found


@pytest.mark.parametrize(
    "text", ["a." * 200_000, "password" * 50_000, "http://" * 50_000, "password='" * 50_000]
)
@pytest.mark.timeout(20)
def test_long_texts_take_linear_time(text: str) -> None:
    """Whatever somebody sends to be logged."""
    redact(text)


PROGRAM = """
import threading
from millrace.streams.redaction import keep_secret, redact_tracebacks
redact_tracebacks()
keep_secret(["hunter2hunter2"])
def fail():
    try:
        raise OSError("at http://u:p@host")
    except OSError as error:
        raise ValueError("hunter2hunter2") from error
class Late:
    def __del__(self):
        fail()
thread = threading.Thread(target=fail); thread.start(); thread.join()
Late()
fail()
"""


def test_no_traceback_shows_a_secret() -> None:
    """Nor the exception that it was raised from, in any thread."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert ran.stderr.count("ValueError: [hidden]") == 3
    assert ran.stderr.count("http://[hidden]@host") == 3
    assert "hunter2hunter2" not in ran.stderr.replace('keep_secret(["hunter2hunter2"])', "")
