"""The page's files: what is served, how, and that what others have made is as it was."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from millrace.streams.serve import assets

FOLDER = assets.FOLDER.resolve()
VENDORED = {
    "htm-preact.module.js": "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7",
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""File to the SHA-256 of what npm has."""


def test_the_page_is_served_without_a_token_and_locked_in(world):
    """Nothing but what this server has may be loaded; nobody may frame it."""

    async def test(client, _service):
        answer = await client.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"

    world.serve(test)


def test_every_file_that_is_named_is_there(world):
    """With a type that a browser runs under nosniff, and a tag by which it is not sent again."""
    named = set()
    for path in FOLDER.rglob("*"):
        if path.suffix in (".html", ".js") and path.parent.name != "vendor":
            text = path.read_text()
            named |= {FOLDER / each for each in re.findall(r'"/page/([^"]+)"', text)}
            found = re.findall(r'(?:from|import\() ?"(\.[^"]+)"', text)
            named |= {(path.parent / each).resolve() for each in found}
    assert len(named) > 20

    async def test(client, _service):
        for each in sorted(named):
            address = f"/page/{each.relative_to(FOLDER).as_posix()}"
            answer = await client.get(address)
            assert answer.status_code == 200, address
            known = ("text/javascript", "text/css", "image/svg+xml")
            assert answer.headers["content-type"].partition(";")[0] in known
            tag = {"if-none-match": answer.headers["etag"]}
            assert (await client.get(address, headers=tag)).status_code == 304

    world.serve(test)


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "../app.py", "..%2Fapp.py", "vendor/LICENSE.htm", "", "views/../../app.py"],
)
def test_nothing_else_is_served(world, path):
    """Neither other files of the machine, nor what no page needs."""

    async def test(client, _service):
        answer = await client.get(f"/page/{path}")
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("not_found")

    world.serve(test)


def test_no_file_has_what_the_policy_forbids():
    """No script or style in the document, and no address of another server that is loaded."""
    for path in FOLDER.rglob("*"):
        if path.suffix not in (".html", ".js", ".css") or path.parent.name == "vendor":
            continue
        text = path.read_text()
        assert not re.search(r"<script>|<style|\sstyle=\"|javascript:|\beval\(|innerHTML", text), (
            path
        )
        addresses = re.findall(r"https?://[^\s\"')]+", text)
        assert {*addresses} <= {"http://www.w3.org/2000/svg"}, path


@pytest.mark.parametrize("name", VENDORED)
def test_what_others_have_made_is_unchanged(name):
    """Byte for byte, with version and licence beside it."""
    folder = FOLDER / "vendor"
    assert sha256((folder / name).read_bytes()).hexdigest() == VENDORED[name]
    assert name in (folder / "README.md").read_text()
    assert (folder / "LICENSE.uPlot").exists()
    assert (folder / "LICENSE.htm").exists()
    assert (folder / "LICENSE.preact").exists()
