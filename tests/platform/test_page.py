"""The page in a headless Chromium, beside a live pipeline: each view, wide, narrow, light, dark.

The pipeline is `parcels.py`: a worker and a server on the embedded broker, as a user runs them.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import httpx
import pytest
from confluent_kafka import Producer

from dev.debian import find
from dev.fetched import UnavailableError
from dev.kafka import free_port
from dev.node import node_program
from millrace.streams.kafka.embedded import EmbeddedBroker
from millrace.streams.serve.tokens import Role, create_token
from millrace.streams.settings import Settings
from millrace.streams.worker.subprocess import cli_command, worker_environment
from tests.conftest import NOT_TESTED
from tests.integration.workers import STATE_KEY, Worker, wait_for
from tests.platform import parcels

pytestmark = pytest.mark.platform

VIEWS = ("overview", "models", "predictions", "labels", "alerts", "rejects", "flow", "history")
SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}
NAME = "parcels"
FAST, SLOW = 150, 20  # records a second: until all is there that tests look at, and from then on
_PARCELS = 3_000
_MS = 20_000
_REFUSED = re.compile(r"responded with a status of (401|422|504|404 .*/v1/predictions/late-)")
_BEHIND_RECORDS = 50

Open = Callable[..., Any]
"""Opens a view in a page of its own."""


class Live(NamedTuple):
    """A pipeline that runs.

    Attributes
    ----------
    url
        Of its server.
    tokens
        Role to a token.
    """

    url: str
    tokens: dict[Role, str]

    def get(self, path: str) -> Any:
        """Return what the server answers an administrator."""
        headers = {"Authorization": f"Bearer {self.tokens[Role.ADMIN]}"}
        return httpx.get(f"{self.url}{path}", headers=headers, timeout=20).json()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give a headless Chromium, or skip and say why."""
    title = f"{NOT_TESTED} IN A BROWSER"
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        pytest.skip(f"{title}: {error}; `make platform-tools` installs it")
    try:
        program = find("chromium", "chromium")
    except UnavailableError as error:
        pytest.skip(f"{title}: {error}")
    with sync_playwright() as playwright:
        # Containers give no sandbox of its own to a user who is root.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        launched = playwright.chromium.launch(executable_path=program, args=options)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """Give the source of axe-core, or skip and say why."""
    try:
        command = node_program(Path(__file__).parent / "axe" / "axe.mjs")
    except UnavailableError as error:
        pytest.skip(f"{NOT_TESTED} BY AXE: {error}")
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip()).read_text()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run the pipeline, with events that keep coming, and a server that asks for tokens."""
    path, port = tmp_path_factory.mktemp("page") / "tokens", free_port()
    tokens = {role: create_token(path, f"a.{role}", role) for role in Role}
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker())
        own = Settings(
            broker=broker.address,
            pipeline=f"{parcels.__file__}:pipeline",
            state_key=STATE_KEY,
            log_format="json",
        )
        worker = stack.enter_context(Worker(own))
        worker.wait_ready(90)
        is_enough = stack.enter_context(_sending(broker.bootstrap))
        stack.enter_context(_serving(own, port, path))
        found = Live(f"http://127.0.0.1:{port}", tokens)
        wait_for("server", lambda: _is_ready(found), 90)
        wait_for("alert", lambda: found.get("/v1/alerts")["records"], 120)
        wait_for("metrics", lambda: found.get("/v1/comparison").get("metrics"), 120)
        # On a busy machine the worker is behind by now: what tests send must not wait for that.
        is_enough.set()
        wait_for("worker", lambda: _is_up_to_date(found), 120)
        yield found


@contextmanager
def _sending(bootstrap: str) -> Iterator[Event]:
    """Send parcels and labels for as long as the block lasts: many until the event, then a few."""
    stopping, is_enough = Event(), Event()
    producer = Producer({"bootstrap.servers": bootstrap})

    def send() -> None:
        due = time.monotonic()
        for part in range(100):
            for each in parcels.traffic(_PARCELS, part * _PARCELS):
                producer.produce(f"{NAME}.{each.topic}", each.value, partition=0)
                due = max(due + 1 / (SLOW if is_enough.is_set() else FAST), time.monotonic() - 1)
                if stopping.wait(max(due - time.monotonic(), 0)):
                    return
                producer.poll(0)

    thread = Thread(target=send)
    thread.start()
    try:
        yield is_enough
    finally:
        stopping.set()
        thread.join()
        producer.flush(10)


@contextmanager
def _serving(own: Settings, port: int, tokens: Path) -> Iterator[subprocess.Popen[bytes]]:
    options = ("-p", NAME, "--port", str(port), "--tokens", str(tokens))
    with subprocess.Popen(cli_command("serve", *options), env=worker_environment(own)) as process:
        try:
            yield process
        finally:
            process.terminate()


def _is_ready(found: Live) -> bool:
    try:
        return httpx.get(f"{found.url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _is_up_to_date(found: Live) -> bool:
    records = found.get("/v1/overview")["lag"]["records"]
    return records is not None and records < _BEHIND_RECORDS


@pytest.fixture
def open_view(browser: Any, live: Live) -> Iterator[Open]:
    """Open views; afterwards, no page may have said an error, or asked another server.

    Where the server refuses what the test has asked for, browsers call that an error, too.
    """
    contexts, said, asked = [], [], []

    def opened(
        view: str, size: str = "wide", scheme: str = "light", role: Role | None = Role.ADMIN
    ) -> Any:
        context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
        contexts.append(context)
        if role is not None:
            stored = json.dumps(live.tokens[role])
            context.add_init_script(f"sessionStorage.setItem('millrace.token', {stored})")
        page = context.new_page()
        page.set_default_timeout(_MS)
        page.on("console", lambda each: said.append((each.type, _text(each))))
        page.on("pageerror", lambda error: said.append(("error", str(error))))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{live.url}/#/{view}")
        return page

    yield opened
    for each in contexts:
        each.close()
    wrong = [text for kind, text in said if kind in ("error", "warning")]
    assert [each for each in wrong if not _REFUSED.search(each)] == []
    assert [url for url in asked if not url.startswith(live.url)] == []


def _text(message: Any) -> str:
    """Return what a message of the console says, and of which address."""
    return f"{message.text} {message.location['url']}"


def settled(page: Any) -> None:
    """Wait until a view shows what it has loaded."""
    page.wait_for_selector("main h1", state="attached")
    page.wait_for_selector("main section")
    holds(page, "!document.querySelector('.loading')")


def holds(page: Any, expression: str) -> None:
    """Wait until something holds; a wait in the page would need `eval`, which it forbids."""
    wait_for(expression, lambda: page.evaluate(expression), _MS / 1000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fits_its_screen_and_is_accessible(
    open_view: Open, axe: str, view: str, scheme: str, size: str
) -> None:
    """Nothing beside the screen; roles, labels, contrast and headings as axe-core has them."""
    page = open_view(view, size, scheme)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.locator("[role=alert]").count() == 0
    page.evaluate(axe)
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", rules)
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
    assert {"color-contrast", "document-title", "landmark-one-main"} <= {
        each["id"] for each in found["passes"]
    }
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back)[:3])) < 200) is (scheme == "dark")


def test_the_verdict_is_that_of_the_server(open_view: Open, live: Live) -> None:
    """As a sentence, in words and numbers that are not the page's own."""
    page = open_view("overview")
    settled(page)
    shape = r"\w+ serves, .* alerts? in a day;( [\d.]+% .* are wanted;)? lag [\d.]+ s\."
    assert re.fullmatch(shape, page.inner_text(".sentence"))

    def is_same() -> bool:
        said = live.get("/v1/overview")["verdict"]["sentence"].partition(";")[0]
        return bool(page.inner_text(".sentence").startswith(said))

    wait_for("the same verdict", is_same)
    assert page.locator(".plot canvas").is_visible()
    assert "better" in page.inner_text(".verdict") or "chance" in page.inner_text(".verdict")


def test_models_show_the_evidence_that_the_server_has(open_view: Open, live: Live) -> None:
    """Twelve candidates and two baselines, each with what the evidence means."""
    page = open_view("models")
    settled(page)
    text = page.inner_text("main")
    for each in parcels.pipeline.models:
        assert each in text
    assert text.count("baseline") >= 2
    known = {each["name"]: each for each in live.get("/v1/comparison")["candidates"]}
    judged = next(name for name, each in known.items() if each["is_judged"])
    row = page.locator("tr", has=page.get_by_role("rowheader", name=judged)).first
    assert "of a proof" in row.locator(".evidence").get_attribute("aria-label")
    marks = page.locator("summary", has_text="marks")
    marks.click()
    assert "drifted" in page.inner_text("main")


def test_models_show_how_often_sets_held(open_view: Open, live: Live) -> None:
    """As many as are wanted, of all labels and of the newest, as the server has it."""
    page = open_view("models")
    settled(page)
    card = page.get_by_role("region", name="Coverage")

    def is_same() -> bool:
        found = live.get("/v1/comparison")["coverage"]
        mark = "too low" if found["is_low"] else "as wanted"
        shares = [f"{100 * found[each]:.1f} %" for each in ("wanted", "share", "newest_share")]
        return all(each in card.inner_text() for each in (mark, *shares))

    wait_for("the same coverage", is_same)
    assert live.get("/v1/comparison")["coverage"]["wanted"] == 0.9


def test_a_command_asks_for_a_reason_and_shows_what_came_of_it(open_view: Open, live: Live) -> None:
    """By keyboard alone; the audit has the reason, and the token's name."""
    page = open_view("models", role=Role.OPERATOR)
    settled(page)
    page.get_by_role("button", name="Pause", exact=True).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("button", name="Pause").is_disabled()
    page.keyboard.type("a test of the page")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog.get_by_text("Done.").wait_for()
    assert "learning paused" in dialog.inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Resume", exact=True).wait_for()
    entry = next(each for each in live.get("/v1/audit")["records"] if each["subject"] == "learning")
    assert (entry["who"], entry["why"]) == ("a.operator", "a test of the page")
    page.goto(f"{live.url}/#/overview")
    page.get_by_text("Learning is paused").wait_for()
    page.goto(f"{live.url}/#/models")
    page.get_by_role("button", name="Resume", exact=True).click()
    page.get_by_label("Reason").fill("it was a test")
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_text("Done.").wait_for()


def test_a_command_that_is_refused_says_why(open_view: Open) -> None:
    """There is no champion before the first to go back to, or the arguments are wrong."""
    page = open_view("models")
    settled(page)
    page.get_by_role("button", name="Set", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Value").fill("nonsense")
    dialog.get_by_label("Reason").fill("a test")
    dialog.get_by_role("button", name="Set").click()
    dialog.get_by_role("alert").wait_for()
    assert "drift.policy" in dialog.get_by_role("alert").inner_text()


def test_predictions_come_live_and_can_be_paused_and_filtered(open_view: Open) -> None:
    """Newer ones come on top; a pause keeps what is there; a filter asks the server."""
    page = open_view("predictions")
    settled(page)
    first = page.locator("tbody tr").first

    def top() -> str:
        return str(first.inner_text())

    before = top()
    wait_for("another prediction", lambda: top() != before)
    page.get_by_role("button", name="Pause").click()
    page.get_by_text(re.compile("Paused; [1-9]")).wait_for()
    before = top()
    page.wait_for_timeout(1_500)
    assert top() == before
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Filter").fill("returned from the depot")
    holds(
        page,
        "[...document.querySelectorAll('tbody th')].map(e => e.innerText.includes('depot'))"
        ".reduce((all, is) => all && is, document.querySelector('tbody th') !== null)",
    )
    page.get_by_label("Label").select_option("joined")
    holds(page, "document.querySelector('tbody')?.innerText.includes('awaited') === false")
    assert page.locator("tbody tr").count() > 0


def test_predictions_show_the_set_that_is_to_hold_the_label(open_view: Open, live: Live) -> None:
    """In the list and in full; where there is none yet, it is said why."""
    page = open_view("predictions")
    settled(page)
    shown = page.locator("td[data-label='Interval or set']")
    texts = {"true", "false", "true or false", "false or true", "no class", "none"}
    assert {*shown.all_inner_texts()} <= texts
    record = live.get("/v1/predictions?fate=joined&limit=1")["records"][0]
    page.goto(f"{live.url}/#/predictions/{httpx.URL(path=record['event_id']).raw_path.decode()}")
    detail = page.locator(".detail")
    detail.get_by_text("Is to hold").wait_for()
    assert "90.0 % of labels" in detail.inner_text()
    first = live.get("/v1/predictions?limit=1")["records"][0]
    first["event_id"] = "unsure"
    first["certainty"] |= {"threshold": None, "classes": {}, "why_none": "no_label"}
    page.route("**/v1/predictions/unsure", lambda route: route.fulfill(json=first))
    page.goto(f"{live.url}/#/predictions/unsure")
    detail.get_by_text("No label has been learned yet.").wait_for()


def test_many_predictions_are_sampled_and_the_page_stays_small(open_view: Open, live: Live) -> None:
    """It says how many of them are shown, and answers at once."""
    record = live.get("/v1/predictions?limit=1")["records"][0]
    told = []
    for number in range(40):
        records = [{**record, "event_id": f"many-{number}-{each}"} for each in range(20)]
        told.append(f"event: predictions\ndata: {json.dumps({'new': 500, 'records': records})}")
    body = "\n\n".join([*told, ""])
    page = open_view("overview")
    settled(page)
    page.route("**/v1/live?**", lambda route: route.fulfill(body=body))
    page.goto(f"{live.url}/#/predictions")
    page.get_by_text(re.compile(r"Showing about [\d,]+ of [\d,]+ a second")).wait_for()
    assert page.locator("tbody tr").count() == 50
    assert page.evaluate("document.querySelectorAll('*').length") < 2_500
    begun = time.monotonic()
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused;").wait_for()
    assert time.monotonic() - begun < 5
    page.get_by_text("Showing about").wait_for(state="detached")


@pytest.mark.parametrize("size", SIZES)
def test_a_prediction_in_full_has_all_that_is_known_of_it(
    open_view: Open, live: Live, size: str
) -> None:
    """Features, reasons, probabilities, label and fate, and the command that makes it again."""
    record = live.get("/v1/predictions?fate=joined&contains=depot&limit=1")["records"][0]
    page = open_view(f"predictions/{httpx.URL(path=record['event_id']).raw_path.decode()}", size)
    page.get_by_text("What became of it").wait_for()
    text = page.inner_text(".detail")
    for each in ("rain", "distance", "weight", "log-odds", "joined", record["model"]):
        assert each in text
    assert f"millrace reproduce '{record['event_id']}'" in text
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.locator(".list").is_visible() is (size == "wide")


def test_a_reject_is_decoded_mended_and_sent_again(open_view: Open, live: Live) -> None:
    """By an administrator; the answer is the prediction."""
    page = open_view("rejects")
    settled(page)
    page.get_by_role("button", name="ill typed field").first.click()
    page.locator(".list tbody a").first.click()
    box = page.locator("textarea")
    box.wait_for()
    event = json.loads(box.input_value())
    assert event["weight"] == "heavy"
    again = event | {"weight": 7.5, "parcel": f"mended-{time.monotonic_ns()}"}
    box.fill("{ this is no JSON")
    assert page.get_by_role("button", name="Send the event").is_disabled()
    box.fill(json.dumps(again))
    page.get_by_role("button", name="Send the event").click()
    page.get_by_text("Predicted:").wait_for()
    assert live.get(f"/v1/predictions/{again['parcel']}")["features"]["weight"] == 7.5


@pytest.mark.parametrize("size", SIZES)
def test_an_event_whose_prediction_is_late_can_be_looked_for(
    open_view: Open, live: Live, size: str
) -> None:
    """It is on Kafka, which is said: nobody needs to send it again."""
    page = open_view("rejects", size)
    settled(page)
    page.get_by_role("button", name="ill typed field").first.click()
    page.locator(".list tbody a").first.click()
    box = page.locator("textarea")
    box.wait_for()
    again = json.loads(box.input_value()) | {"weight": 7.5, "parcel": f"late-{time.monotonic_ns()}"}

    def late(route: Any) -> None:
        headers = {"Authorization": f"Bearer {live.tokens[Role.ADMIN]}"}
        taken = httpx.post(f"{live.url}/v1/events", json=again, headers=headers, timeout=20)
        place = {name: taken.json()[name] for name in ("event_id", "topic", "partition", "offset")}
        problem = {"title": "No prediction yet", "detail": "no prediction within 10 s"}
        route.fulfill(status=504, json={**problem, **place})

    page.route("**/v1/events?**", late)
    box.fill(json.dumps(again))
    page.get_by_role("button", name="Send the event").click()
    page.get_by_text("It is on Kafka, as").wait_for()
    assert f"{NAME}.events[0]@" in page.inner_text(".came")
    assert page.locator("[role=alert]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("button", name="Look for the prediction").click()
    page.get_by_text("Predicted:").wait_for()
    assert live.get(f"/v1/predictions/{again['parcel']}")["features"]["weight"] == 7.5


def test_the_flow_has_every_agent_with_its_lag(open_view: Open, live: Live) -> None:
    """Drawn as a graph, which says the same in words."""
    page = open_view("flow")
    settled(page)
    said = page.locator(".graph svg").get_attribute("aria-label")
    for each in ("ingest", "feature", "prediction-learning", "drift"):
        assert f"{each} reads" in said
    assert {each["name"] for each in live.get("/v1/flow")["agents"]} >= {"ingest", "control"}
    rates = {each["name"]: each["per_second"] for each in live.get("/v1/flow")["topics"]}
    assert rates["events"] > SLOW / 10


@pytest.mark.parametrize("size", SIZES)
def test_a_topic_of_others_is_an_input_of_ingest(open_view: Open, live: Live, size: str) -> None:
    """With its rate, and what waits in it, however long its name is."""
    name = "warehouse.public.parcels_by_the_depot_that_they_came_from"
    flow = live.get("/v1/flow")
    events = next(each for each in flow["topics"] if each["name"] == "events")
    flow["topics"].insert(0, {**events, "name": f"@{name}", "topic": name, "is_source": True})
    flow["per_second"][f"@{name}"] = flow["per_second"]["events"]
    ingest = next(each for each in flow["agents"] if each["name"] == "ingest")
    ingest["reads"].insert(0, f"@{name}")
    ingest["lag_by_topic"][f"@{name}"] = {"records": 1_234, "seconds": 2.5}
    page = open_view("overview", size)
    settled(page)
    page.route("**/v1/flow", lambda route: route.fulfill(json=flow))
    page.goto(f"{live.url}/#/flow")
    page.locator(".graph svg").wait_for()
    assert f"ingest reads {name}, " in page.locator(".graph svg").get_attribute("aria-label")
    row = page.locator("tr", has=page.get_by_role("rowheader", name=name))
    assert "1,234 2.5 s" in row.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    beyond = page.evaluate(
        "[...document.querySelectorAll('.graph g')].filter(g => g.querySelector('text')"
        ".getComputedTextLength() > g.querySelector('rect').getBBox().width).length"
    )
    assert beyond == 0


def test_history_has_the_audit_and_the_definition_in_force(open_view: Open) -> None:
    """And says that there is nothing to compare a single definition with."""
    page = open_view("history")
    settled(page)
    text = page.inner_text("main")
    assert "in force" in text
    assert "a worker has started with it" in text
    page.get_by_label("Filter").fill("no such entry")
    page.get_by_text("None fits").wait_for()


def test_a_token_is_asked_for_and_kept_in_the_tab(open_view: Open, live: Live) -> None:
    """A wrong one is refused in words; signing out forgets it."""
    page = open_view("alerts", role=None)
    box = page.get_by_label("Token")
    box.wait_for()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("not known to the server").wait_for()
    box.fill(live.tokens[Role.VIEWER])
    page.keyboard.press("Enter")
    page.get_by_text("a.viewer, viewer").wait_for()
    settled(page)
    assert page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
    page.get_by_role("button", name="Sign out").click()
    box.wait_for()
    assert page.evaluate("sessionStorage.getItem('millrace.token')") is None


def test_what_a_role_may_not_do_is_not_offered(open_view: Open) -> None:
    """A viewer's buttons say what they need; a producer sees nothing of the pipeline."""
    page = open_view("models", role=Role.VIEWER)
    settled(page)
    button = page.get_by_role("button", name="Pause").first
    assert button.get_attribute("aria-disabled") == "true"
    assert "Needs the role operator; you are viewer." in button.get_attribute("title")
    button.click(force=True)
    assert page.get_by_role("dialog").count() == 0
    producer = open_view("overview", role=Role.PRODUCER)
    producer.get_by_text("The role producer sends events").wait_for()


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_can_be_used_by_tabbing(open_view: Open, view: str) -> None:
    """Each stop is visible, is named, and shows that it has the focus; the first skips ahead."""
    page = open_view(view)
    settled(page)
    seen: list[str] = []
    for _ in range(25):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop is None:
            break
        assert stop["name"], stop
        assert stop["isVisible"], stop
        assert stop["hasOutline"], stop
        seen.append(stop["name"])
    assert seen[0] == "Skip to the content"
    views = [each.capitalize() for each in VIEWS]
    start = seen.index(views[0])
    assert seen[start : start + len(views)] == views


_STOP = """() => {
  const it = document.activeElement;
  if (!it || it === document.body) return null;
  const box = it.getBoundingClientRect();
  const style = getComputedStyle(it);
  const labels = [...(it.labels || [])].map(each => each.innerText).join(' ');
  return {
    name: (it.getAttribute('aria-label') || labels || it.innerText || '').trim(),
    isVisible: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
    hasOutline: style.outlineStyle !== 'none' || it.classList.contains('skip'),
    html: it.outerHTML.slice(0, 200),
  };
}"""


def test_a_server_that_is_gone_is_said_and_comes_back(
    browser: Any, tmp_path: Path, live: Live
) -> None:
    """The page keeps what it has, says that nobody answers, and goes on by itself."""
    context = browser.new_context(viewport=SIZES["wide"])
    stored = json.dumps(live.tokens[Role.VIEWER])
    context.add_init_script(f"sessionStorage.setItem('millrace.token', {stored})")
    page = context.new_page()
    page.set_default_timeout(_MS)
    page.goto(f"{live.url}/#/overview")
    settled(page)
    context.set_offline(True)
    page.get_by_role("alert").first.wait_for()
    assert "does not answer" in page.get_by_role("alert").first.inner_text()
    assert "serves" in page.inner_text(".sentence")
    context.set_offline(False)
    holds(page, "!document.querySelector('[role=alert]')")
    page.get_by_text("Live", exact=True).wait_for()
    context.close()
