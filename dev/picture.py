"""The picture of the page in the README: of the demo, in a headless Chromium.

``python -m dev.picture`` runs ``millrace demo --page`` until the drift is over, and writes
``docs/_static/page.png``. It needs what ``make platform-tools`` installs.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from dev.debian import find
from dev.fetched import REPOSITORY
from dev.kafka import free_port

PICTURE = REPOSITORY / "docs" / "_static" / "page.png"
EVENTS, RATE = 6_000, 400
_SECONDS = 180.0
_MOST_BYTES = 150_000


def take(address: str, path: Path) -> None:
    """Write a picture of the overview, once a drift and the labels behind it are in it."""
    with sync_playwright() as playwright:
        program = find("chromium", "chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 700}, color_scheme="light")
        page.goto(f"{address}/#/overview")
        deadline = time.monotonic() + _SECONDS
        while not _is_over(page.inner_text("body")):
            if time.monotonic() > deadline:
                raise SystemExit("the demo had no drift in time")
            time.sleep(0.5)
        page.wait_for_timeout(1_500)
        page.screenshot(path=path)
        browser.close()


def _is_over(text: str) -> bool:
    """Whether the drift and most of what comes behind it are on the page."""
    found = re.search(r"Over ([\d,]+) labels", text)
    labels = int(found[1].replace(",", "")) if found else 0
    return labels >= EVENTS * 0.9 and "loss:" in text


def main() -> None:
    """Run the demo, take the picture, and stop the demo."""
    port = free_port()
    options = ["--events", str(EVENTS), "--rate", str(RATE), "--page", "--page-port", str(port)]
    command = [sys.executable, "-m", "millrace.streams.cli", "demo", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        try:
            assert demo.stdout is not None
            line = next((each for each in demo.stdout if "The page: " in each), None)
            if line is None:
                raise SystemExit("the demo ended before its page was there")
            take(line.partition("The page: ")[2].strip(), PICTURE)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(REPOSITORY)}: {size:,} bytes")
    if size > _MOST_BYTES:
        raise SystemExit(f"the picture must have {_MOST_BYTES:,} bytes or less")


if __name__ == "__main__":
    main()
