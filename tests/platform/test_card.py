"""A model card is opened in a browser: no error, nothing loaded, nothing cut off."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from dev.debian import find
from dev.fetched import UnavailableError
from millrace.streams.docs.card import card
from millrace.streams.docs.card_html import card_html
from millrace.streams.formats import Outputs
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.tools.card import known
from tests.conftest import NOT_TESTED
from tests.unit.streams.docs.carded import ODD, own_pipeline, worked
from tests.unit.streams.serve.conftest import KEY

pytestmark = pytest.mark.platform

SECONDS = 60
LOOK = """<script>
addEventListener("error", (event) => document.body.dataset.error = event.message);
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main *")].filter((each) =>
    !each.closest(".wide") && each.getBoundingClientRect().right > innerWidth + 1);
  document.body.dataset.found = JSON.stringify({
    wide: wide.map((each) => each.tagName),
    loaded: performance.getEntriesByType("resource").map((each) => each.name),
    scrolls: document.documentElement.scrollWidth > innerWidth,
    tables: document.querySelectorAll("main table").length,
    ground: getComputedStyle(document.body).backgroundColor,
    text: document.querySelector("h1").textContent,
    hits: window.hits || 0,
  });
});
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """Find Chromium, or skip, and say why."""
    try:
        return find("chromium", package="chromium")
    except UnavailableError as error:
        pytest.skip(f"{NOT_TESTED} IN A BROWSER: {error}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a card, with a text in it that would run if it were not escaped."""
    odd = f"{ODD}<img src=x onerror='window.hits=1'><script>window.hits=1</script>"
    world = worked(own_pipeline(doc=odd))
    store = DefinitionStore(world.clients, world.full(""), KEY)
    made = card(known(world.clients, world.name, Outputs(), store), time.time_ns() // 10**6)
    file = tmp_path_factory.mktemp("card") / "card.html"
    file.write_text(card_html(made), encoding="utf-8")
    return file


def run(chromium: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", "--disable-background-networking"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=SECONDS, check=True
    )


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_opened(width: int, mode: str, chromium: str, page: Path, tmp_path: Path) -> None:
    """At either width, light and dark, all is there, and only tables scroll by themselves."""
    watched = tmp_path / "card.html"
    # A window has no less than 500 pixels: a frame has the width that is wanted.
    watched.write_text(page.read_text().replace("</head>", f"{LOOK}</head>"))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe src="card.html" width="{width}" height="900"></iframe><script>'
        "addEventListener('load', () => { document.title ="
        " frames[0].document.body.dataset.found; document.body.append(document.title) })</script>"
    )
    dark = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
    arguments = ["--allow-file-access-from-files", "--dump-dom", *(dark if mode == "dark" else [])]
    done = run(chromium, *arguments, frame.as_uri(), folder=tmp_path)
    told = re.search(r"<title>(.*?)</title>", done.stdout)
    assert told, done.stdout + done.stderr
    found = json.loads(told[1])
    assert found["text"] == "grants"
    assert found["tables"] >= 6
    assert (found["wide"], found["loaded"], found["scrolls"], found["hits"]) == ([], [], False, 0)
    is_dark = sum(map(int, re.findall(r"\d+", found["ground"])[:3])) < 200
    assert is_dark is (mode == "dark")


def test_printed(chromium: str, page: Path, tmp_path: Path) -> None:
    """It is printed without a script: a few pages of PDF."""
    file = tmp_path / "card.pdf"
    run(
        chromium, "--no-pdf-header-footer", f"--print-to-pdf={file}", page.as_uri(), folder=tmp_path
    )
    data = file.read_bytes()
    assert data.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 8
