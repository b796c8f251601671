"""A bundle's bytes and digest are the same wherever it is made; what is no bundle is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from millrace.models.bundles.bundle import Bundle
from millrace.schemas import DefinitionError

BUNDLE = Bundle(
    "visits:pipeline",
    {"visits": "visits.py", "shop": "shop/__init__.py"},
    {"visits.py": "import shop\r\n", "shop/__init__.py": "É\n", "visits.avsc": "{}"},
    {"models": ["tree"]},
    {"python": "3.11"},
)


def test_bytes_and_back() -> None:
    """All is there again, line endings too."""
    assert Bundle.from_bytes(BUNDLE.to_bytes()) == BUNDLE


def test_canonical() -> None:
    """The order in which a bundle was put together is not in its bytes."""
    files = {name: BUNDLE.files[name] for name in [*BUNDLE.files][::-1]}
    again = replace(BUNDLE, files=files)
    assert (again.to_bytes(), again.digest) == (BUNDLE.to_bytes(), BUNDLE.digest)


def test_the_digest_is_of_what_decides() -> None:
    """Not of the description, nor of what it was made with."""
    assert replace(BUNDLE, description={}, made_with={}).digest == BUNDLE.digest
    for change in (
        {"reference": "visits:other"},
        {"files": BUNDLE.files | {"visits.avsc": "[]"}},
        {"files": BUNDLE.files | {"visits.py": "import shop\n"}},
        {"files": BUNDLE.files | {"new.avsc": "[]"}},
        {"modules": {**BUNDLE.modules, "again": "visits.py"}},
    ):
        assert replace(BUNDLE, **change).digest != BUNDLE.digest


def test_what_is_too_large() -> None:
    """The largest files are named."""
    with pytest.raises(DefinitionError) as raised:
        replace(BUNDLE, files=BUNDLE.files | {"visits.py": "#" * 999_999})
    assert str(raised.value) == (
        "the files of a definition must have 1,000,000 bytes or less together; got 1,000,004, the"
        " largest are visits.py 999,999, shop/__init__.py 3, visits.avsc 2. Keep data out of the"
        " pipeline's modules"
    )


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(BUNDLE.to_bytes())
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    {
        "no JSON": b"{",
        "no text": b"\xff",
        "no object": b"[]",
        "empty": b"{}",
        "nested": b"[" * 100_000,
        "without files": changed(lambda d: d.pop("files")),
        "unknown field": changed(lambda d: d.update(more=1)),
        "number": changed(lambda d: d["files"].update({"visits.py": 1})),
        "list": changed(lambda d: d.update(modules=[])),
        "unknown module": changed(lambda d: d.update(reference="other:pipeline")),
        "no attribute": changed(lambda d: d.update(reference="visits")),
        "no text as reference": changed(lambda d: d.update(reference=1)),
        "missing file": changed(lambda d: d["files"].pop("visits.py")),
        "path upwards": changed(lambda d: d["files"].update({"../../../../x": ""})),
        "absolute path": changed(lambda d: d["files"].update({"/x": ""})),
        "path through": changed(lambda d: d["files"].update({"a/../x": ""})),
        "path upwards and through": changed(lambda d: d["files"].update({"../a/../x": ""})),
        "no module's name": changed(lambda d: d["modules"].update({"a-b": "visits.py"})),
    }.items(),
    ids=lambda each: each[0],
)
def test_what_is_malformed(data: tuple[str, bytes]) -> None:
    """It is refused in one line."""
    with pytest.raises(DefinitionError, match=r"^a bundle must have the reference of a pipeline"):
        Bundle.from_bytes(data[1])


def test_another_digest() -> None:
    """A bundle that is not what it says is refused."""
    with pytest.raises(DefinitionError, match=r"^a bundle must be of the digest that it says, '0'"):
        Bundle.from_bytes(changed(lambda d: d.update(digest="0")))
    with pytest.raises(DefinitionError, match=f"'{BUNDLE.digest}'; got one of"):
        Bundle.from_bytes(changed(lambda d: d["files"].update({"visits.py": ""})))
