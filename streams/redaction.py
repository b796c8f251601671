"""What must not leave the process: passwords, tokens and keys, taken out of any text in one place.

The log, the command line's errors and what is written to `rejects` pass through here. A secret is
found in two ways: by its value, where the settings have it (`keep_secret`), and by how it looks:
the user of a URL, `password=...`, an Authorization header, a private key. Where a text is doubtful,
more is hidden rather than less.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"

_LEAST_LENGTH = 4  # a shorter value is part of too many words
_LEAST_ALONE = 8  # a shorter value is hidden where it is a word

_NAME = (
    r"(?:pass(?:word|wd|phrase)|secret|token|credential|api[-_.]?key|apikey|access[-_.]?key"
    r"|(?:state|command)[-_.]key|key[-_.]pem|ssl_key|jaas[-_.]config|user[-_.]info|authorization)"
)
_VALUE = (
    r"""(?:\[hidden\]|b?"(?:\\.|[^"\\])*"?|b?'(?:\\.|[^'\\])*'?"""
    r"""|\\"(?:[^"\\]|\\[^"])*(?:\\")?|[^\s,;&'"<>)\]}]+)"""
)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_NO_SECRET = re.compile(r"(?:location|url|file)$", re.IGNORECASE)  # where it is, not what it is
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_HEADER = re.compile(r"\b(authorization[^\w\[]{1,6})(?:\w+ +)?(?:\[hidden\]|[^\s'\",]+)", re.I)
_SCHEME = re.compile(r"\b([Bb]asic|[Bb]earer) +(?=\S*[\d=_/+]|[a-z]*[A-Z])[\w.~+/-]{8,}=*")
_JSON_WEB_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
_PAIR = re.compile(
    rf"({_NAME}[\w.-]{{0,40}}\\?[\"']?\s{{0,3}}[=:]\s{{0,3}}){_VALUE}", re.IGNORECASE
)
_QUERY = re.compile(r"([?&](?:sig|signature|x-amz-\w+|key|auth|code)=)[^&\s'\"<>]+", re.IGNORECASE)
_URL = re.compile(r"([a-z][a-z0-9+.-]{0,30}://)((?:(?!,\w+://)[^\s'\"<>])+)", re.IGNORECASE)

_known: set[str] = set()
_known_pattern: re.Pattern[str] | None = None


def keep_secret(values: Iterable[str]) -> None:
    """Hide these values from now on, in whatever form a text may have them."""
    global _known_pattern  # noqa: PLW0603 - one process, one set of secrets
    _known.update(form for value in values for form in _forms(value))
    longest_first = sorted(_known, key=len, reverse=True)
    _known_pattern = re.compile("|".join(map(_bounded, longest_first))) if longest_first else None


def forget_secrets() -> None:
    """Forget the values, as tests must."""
    _known.clear()
    keep_secret(())


def redact(text: str) -> str:
    r"""Return a text without the secrets in it.

    Examples
    --------
    >>> redact("GET http://anna:s3cret@registry:8081/schemas?token=abc failed")
    'GET http://[hidden]@registry:8081/schemas?token=[hidden] failed'
    >>> redact("sasl.password=s3cret, {'ssl.key.password': 'it\\'s'}")
    "sasl.password=[hidden], {'ssl.key.password': [hidden]}"
    """
    if _known_pattern is not None:
        text = _known_pattern.sub(HIDDEN, text)
    text = _PRIVATE_KEY.sub(HIDDEN, text)
    text = _URL.sub(_without_user, text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
    text = _JSON_WEB_TOKEN.sub(HIDDEN, text)
    text = _PAIR.sub(rf"\1{HIDDEN}", text)
    return _QUERY.sub(rf"\1{HIDDEN}", text)


def redacted(value: object) -> object:
    """Return a value without the secrets in it: in its texts, and under names of secrets.

    Examples
    --------
    >>> redacted({"sasl.password": "x", "sasl.username": "anna", "at": ["http://u:p@h"]})
    {'sasl.password': '[hidden]', 'sasl.username': 'anna', 'at': ['http://[hidden]@h']}
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            each: HIDDEN if is_secret(str(each)) and inner else redacted(inner)
            for each, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(each) for each in value]
    return redact(repr(value))


def is_secret(name: str) -> bool:
    """Whether what has this name is a secret.

    Examples
    --------
    >>> [is_secret(name) for name in ("sasl.password", "ssl.key.pem", "ssl.key.location")]
    [True, True, False]
    """
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET.search(name)


def secrets_of_url(url: str) -> list[str]:
    """Return what a URL has before its host: user and password, together and apart.

    Examples
    --------
    >>> secrets_of_url("https://anna:s3cret@registry:8081"), secrets_of_url("http://registry")
    (['anna:s3cret', 's3cret'], [])
    """
    found = _URL.match(url)
    user, at, _ = _split_user(found[2]) if found else ("", "", "")
    password = user.partition(":")[2]
    return [each for each in (user, password) if each] if at else []


def redact_tracebacks() -> None:
    """Let Python print no traceback that is not redacted."""

    def print_redacted(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = print_redacted
    threading.excepthook = lambda args: print_redacted(
        args.exc_type, args.exc_value, args.exc_traceback
    )
    sys.unraisablehook = lambda args: print_redacted(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def _forms(value: str) -> Iterable[str]:
    """Return a secret as URLs, JSON, Python and basic authentication write it."""
    value = value.strip()
    if len(value) < _LEAST_LENGTH:
        return ()
    encoded = base64.b64encode(value.encode(errors="surrogatepass")).decode()
    quoted = (quote(value, safe="", errors="replace"), quote_plus(value, errors="replace"))
    lines = [line for line in value.splitlines() if len(line) >= _LEAST_ALONE]
    return {value, *lines, *quoted, encoded, json.dumps(value)[1:-1], repr(value)[1:-1]}


def _bounded(form: str) -> str:
    pattern = re.escape(form)
    return pattern if len(form) >= _LEAST_ALONE else rf"(?<!\w){pattern}(?!\w)"


def _without_user(url: re.Match[str]) -> str:
    _, at, rest = _split_user(url[2])
    return f"{url[1]}{HIDDEN}@{rest}" if at else url[0]


def _split_user(after_scheme: str) -> tuple[str, str, str]:
    """Split at the last @ of the authority, or, where a password has a slash, at the last."""
    authority = re.split(r"[/?#]", after_scheme, maxsplit=1)[0]
    if "@" in authority:
        user, _, host = authority.rpartition("@")
        return user, "@", host + after_scheme[len(authority) :]
    port = authority.partition(":")[2]
    if port and not port.rstrip("]").rpartition(":")[2].isdigit() and "@" in after_scheme:
        user, at, rest = after_scheme.rpartition("@")
        return user, at, rest
    return "", "", after_scheme
