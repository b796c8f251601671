"""What the page asks for: who asks, the verdict, curves, fates, rejects, flow, definitions."""

from __future__ import annotations

import asyncio
import json

import pytest

from millrace import LabelSource, Source
from millrace.schemas import shipped
from millrace.streams.serve.access import Access
from millrace.streams.serve.tokens import Role, Tokens, create_token
from tests.unit.streams.serve.conftest import audit, outcome, prediction, until

EVENT = {"id": "e1", "a": 1.0, "b": 2.0}
VIEWS = [
    *("overview", "comparison", "curves", "predictions", "fates", "reasons", "flow", "live"),
    *("payload?topic=t&partition=0&offset=0", "difference?before=1&after=2"),
]


def block(number=0, champion="own", **more):
    """Return a block of a hundred events, in which the champion errs less than the baselines."""
    base = {"events": 100, "missing": 0, "rival": champion}
    sums = {"own": (10.0, 0.0, 0.0), "no_change": (60.0, -50.0, 50.0), "prior": (50.0, -40.0, 40.0)}
    losses = {
        name: base
        | {"loss": loss, "bounded_loss": loss, "difference": of, "squared_difference": squares}
        for name, (loss, of, squares) in sums.items()
    }
    return {
        "partition": 0,
        "number": number,
        "definition": "d",
        "champion": champion,
        "command": 0,
        "first_time_ms": 1_000 * number,
        "last_time_ms": 1_000 * number + 999,
        "events": 100,
        "late_labels": 0,
        "failures": 0,
        "loss_bound": 1.0,
        "drifted": [],
        "terms": {
            "metric": "zero_one",
            "alpha": 0.05,
            "margin": 0.01,
            "min_labels": 500,
            "probation": 2_000,
            "policy": "off",
        },
        "candidates": losses,
        "groups": {},
        "metrics": {},
        **more,
    }


def alert(source="loss:own", action="replace", **more):
    """Return an alert."""
    return {
        "source": source,
        "detector": "ADWIN",
        "event_id": "e1",
        "event_time_ms": 3_500,
        "position": 1,
        "mean_before": 0.1,
        "mean_after": 0.5,
        "action": action,
        "model": "own",
        "model_version": 7,
        "detail": "",
        **more,
    }


async def get(client, path):
    """Return what a path answers."""
    answer = await client.get(f"/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("role", Role)
def test_who_asks_is_told_what_they_may_do(world, tmp_path, role):
    """By name and role; who sees the pipeline may see each view, and no one else."""
    path = tmp_path / "tokens"
    token = create_token(path, "anna", role)

    async def test(client, _service):
        client.headers["Authorization"] = f"Bearer {token}"
        me = await get(client, "me")
        assert (me["name"], me["role"], me["has_tokens"]) == ("anna", role, True)
        assert "promote" in me["commands"]
        for each in VIEWS:
            if "live" in each and "read" in me["may"]:
                continue
            answer = await client.get(f"/v1/{each}")
            assert (answer.status_code != 403) is ("read" in me["may"]), each

    world.serve(test, Access(Tokens(path)))


def test_without_tokens_anybody_may_do_anything(world):
    """And the page asks for none."""

    async def test(client, _service):
        me = await get(client, "me")
        assert (me["role"], me["has_tokens"], me["pipeline"]) == ("admin", False, "p")

    world.serve(test)


def test_the_verdict_is_a_sentence(world):
    """Against the baseline that is closest, with an interval; alerts and lag behind it."""
    for number in range(10):
        world.write("evaluations", block(number))
    world.write("alerts", alert())

    async def test(client, _service):
        found = await get(client, "overview")
        verdict = found["verdict"]
        assert verdict["sentence"].startswith("own serves, 40.0 ± ")
        assert " points better than prior; 1 alert in a day" in verdict["sentence"]
        assert (verdict["tone"], verdict["baseline"]) == ("good", "prior")
        points = verdict["points"]
        assert points["mean"] == pytest.approx(40)
        assert 0 < points["lower"] < 40 < points["upper"]
        assert {each["view"] for each in found["attention"]} >= {"alerts"}
        said = await get(client, "comparison")
        assert said["verdict"]["sentence"] in verdict["sentence"]
        assert [each["name"] for each in said["candidates"]] == ["own", "prior", "no_change"]

    world.serve(test)


@pytest.mark.parametrize(
    ("difference", "tone", "words"),
    [(40.0, "bad", "points worse than prior"), (0.0, "unsure", "as good as prior, which may be")],
)
def test_a_champion_that_is_not_better_is_said_so(world, difference, tone, words):
    """It needs attention."""
    for number in range(10):
        each = block(number)
        each["candidates"]["prior"] |= {"difference": difference, "squared_difference": 40.0}
        world.write("evaluations", each)

    async def test(client, _service):
        found = await get(client, "overview")
        assert found["verdict"]["tone"] == tone
        assert words in found["verdict"]["sentence"]
        assert any(words in each["text"] for each in found["attention"])

    world.serve(test)


def _blocks_with_certainty(world, covered):
    """Write ten blocks, in each of which so many labels were inside."""
    for number in range(10):
        certainty = {"wanted": 0.9, "labels": 100, "covered": covered, "size": 110.0}
        world.write("evaluations", block(number, certainty=certainty))


def test_coverage_is_shown_and_said_where_it_is_low(world):
    """In the words of its alert; the verdict is silent of it otherwise."""
    _blocks_with_certainty(world, 80)

    async def test(client, _service):
        found = (await get(client, "comparison"))["coverage"]
        assert found == {
            "wanted": 0.9,
            "labels": 1_000,
            "share": 0.8,
            "newest_mean_size": 1.1,
            "newest_labels": 1_000,
            "newest_share": 0.8,
            "is_low": True,
        }
        overview = await get(client, "overview")
        said = "80.0% of the newest 1,000 labels were inside their sets, 90.0% are wanted"
        assert f"in a day; {said}" in overview["verdict"]["sentence"]
        notes = {each["text"]: each for each in overview["attention"]}
        assert (notes[f"{said}."]["tone"], notes[f"{said}."]["view"]) == ("bad", "models")

    world.serve(test)


@pytest.mark.parametrize("covered", [None, 90])
def test_coverage_that_is_not_low_is_no_part_of_the_verdict(world, covered):
    """Nor is it anywhere without certainty."""
    if covered is not None:
        _blocks_with_certainty(world, covered)
    else:
        world.write("evaluations", block())

    async def test(client, _service):
        found = (await get(client, "comparison"))["coverage"]
        assert (found and found["is_low"]) is (None if covered is None else False)
        overview = await get(client, "overview")
        assert "inside their" not in json.dumps([overview["verdict"], overview["attention"]])

    world.serve(test)


def test_before_the_first_block_nothing_is_claimed(world):
    """Every view answers, and says that there is nothing yet."""

    async def test(client, _service):
        found = await get(client, "overview")
        assert found["verdict"]["tone"] == "none"
        assert found["verdict"]["sentence"].startswith("No block of a hundred events has all its")
        assert (await get(client, "comparison"))["candidates"] == []
        assert (await get(client, "curves"))["times_ms"] == []
        assert (await get(client, "predictions"))["records"] == []
        assert (await get(client, "reasons"))["reasons"] == []

    world.serve(test)


def test_curves_have_losses_and_marks(world):
    """Drift from alerts; other champions and definitions from the blocks."""
    for number in range(3):
        world.write("evaluations", block(number))
    world.write("evaluations", block(3, "prior", command=4, definition="e"))
    world.write("alerts", alert())

    async def test(client, _service):
        found = await get(client, "curves")
        assert found["losses"]["own"] == [0.1] * 4
        assert found["times_ms"] == [999, 1_999, 2_999, 3_999]
        assert [each["kind"] for each in found["marks"]] == ["champion", "definition", "drift"]
        assert found["baselines"] == ["no_change", "prior"]

    world.serve(test)


def test_predictions_are_found_by_fate_and_by_text(world):
    """The newest first, each with its outcome; a feature by its value."""
    for number in range(5):
        record = prediction(f"e{number}", value=bool(number % 2))
        record["features"] = {"a": float(number)}
        world.write("predictions", record)
    world.write("outcomes", outcome("e1"))
    world.write("outcomes", outcome("e3", "expired", None))

    async def test(client, _service):
        async def ids(**params):
            answer = await client.get("/v1/predictions", params=params)
            return [each["event_id"] for each in answer.json()["records"]]

        assert await ids(limit=2) == ["e4", "e3"]
        assert await ids(fate="joined") == ["e1"]
        assert await ids(fate="waiting") == ["e4", "e2", "e0"]
        assert await ids(contains="A=3.0") == ["e3"]
        assert await ids(contains="false", fate="waiting", limit=1) == ["e4"]
        found = (await get(client, "predictions"))["records"]
        assert found[1]["outcome"]["fate"] == "expired"
        assert found[0]["outcome"] is None

    world.serve(test)


def test_fates_are_counted_and_who_waits(world):
    """An outcome that is read before its prediction ends the wait, too."""
    world.write("outcomes", outcome("e0"))
    for number in range(3):
        world.write("predictions", prediction(f"e{number}"))
    world.write("outcomes", outcome("nobody", "orphan"))

    async def test(client, _service):
        found = await get(client, "fates")
        counts = {each["fate"]: each["count"] for each in found["fates"] if each["count"]}
        assert counts == {"joined": 1, "orphan": 1}
        assert found["waiting"]["events"] == 2
        assert found["delays"]["quantiles"]["0.5"] == 5
        assert sum(each["labels"] for each in found["delays"]["histogram"]) == 1

    world.serve(test)


@pytest.mark.parametrize(
    ("value", "topic", "encoding", "fields", "to"),
    [
        (b'{"id": "e1", "a": "x"}', "p.events", "json", {"id": "e1", "a": "x"}, "/v1/events"),
        (b'{"id": "e1", "a": NaN}', "p.events", "json", {"id": "e1", "a": None}, "/v1/events"),
        (b"[1]", "p.events", "json", None, "/v1/events"),
        (b"{broken", "p.events", "text", None, "/v1/events"),
        (b"\xff\xfe\x00", "p.events", "bytes", None, "/v1/events"),
        (b"\x00\x00\x00\x00\x01x", "p.events", "confluent", None, "/v1/events"),
        (b"\xc3\x01 nothing", "p.events", "avro", None, "/v1/events"),
        (None, "p.events", "none", None, "/v1/events"),
        (b"{}", "p.labels", "json", {}, "/v1/labels"),
        (b"{}", "p.commands", "json", {}, None),
    ],
)
def test_a_reject_is_decoded(world, value, topic, encoding, fields, to):
    """As far as that can be done, with where it may be sent again."""
    world.reject("malformed", "odd", topic=topic, offset=4, value=value)

    async def test(client, _service):
        found = await get(client, f"payload?topic={topic}&partition=0&offset=4")
        assert found["encoding"] == encoding
        assert found["reject"]["detail"] == "odd"
        again = found["again"]
        assert (again and again["to"]) == to
        assert again or "neither an event nor a label" in found["why_not"]
        if fields is not None and again:
            assert json.loads(again["text"]) == fields
        reasons = (await get(client, "reasons"))["reasons"]
        assert [(each["reason"], each["count"]) for each in reasons] == [("malformed", 1)]

    world.serve(test)


def test_a_reject_in_avro_is_sent_again_as_json(world, make_pipeline):
    """An event of the topic, one that was rejected behind ingest, and a label."""
    schema = make_pipeline().event_schema
    event = schema.accepted.encode({**EVENT, "y": None})
    clean = schema.clean.encode(
        {"event_id": "e1", "key": None, "event_time_ms": 1, "label": None, "fields": EVENT}
    )
    label = shipped("label").encode({"event_id": "e1", "label": 3})
    for offset, (topic, value) in enumerate(
        [("p.events", event), ("p.clean", clean), ("p.labels", label)]
    ):
        world.reject("feature_error", "it raised", topic=topic, offset=offset, value=value)

    async def test(client, _service):
        for offset, topic in enumerate(["p.events", "p.clean", "p.labels"]):
            found = await get(client, f"payload?topic={topic}&partition=0&offset={offset}")
            assert found["encoding"] == "avro"
            fields = json.loads(found["again"]["text"])
            wanted = EVENT if offset < 2 else {"event_id": "e1", "label": 3}
            assert {name: fields[name] for name in wanted} == wanted

    world.serve(test)


def test_a_reject_that_is_not_known_is_a_404(world):
    """It says where to look."""

    async def test(client, _service):
        answer = await client.get("/v1/payload?topic=t&partition=0&offset=1")
        assert answer.status_code == 404
        assert "p.rejects" in answer.json()["fix"]

    world.serve(test)


def test_two_definitions_are_compared(world, make_pipeline):
    """What changes in words, and in which lines of which files."""
    world.deploy(make_pipeline(rolling_window=77))

    async def test(client, _service):
        found = await get(client, "difference?before=1&after=2")
        assert any("rolling_window" in each for each in found["changes"])
        assert found["files"]["own.py"][-2:] == ["-# 1", "+# 2"]
        answer = await client.get("/v1/difference?before=1&after=9")
        assert answer.status_code == 404

    world.serve(test)


def test_the_flow_has_the_topics_that_the_definition_reads(make_world, make_pipeline):
    """By the names that they have here; a definition that comes later may read others."""
    labels = LabelSource("shop.checks", event_id="id", label="is_fraud")
    world = make_world(events=[Source("shop.orders"), Source("gone")], labels=[labels])
    for each in ("prod.orders", "shop.checks", "shop.more"):
        world.broker.create(each, 1)

    async def test(client, service):
        async def sources():
            await asyncio.to_thread(service.watched.flow.look)
            topics = (await get(client, "flow"))["topics"]
            return {each["topic"]: each["holds"] for each in topics if each["is_source"]}

        where = "where others write them."
        orders = {"prod.orders": f"Events, {where}"}
        assert await sources() == orders | {"shop.checks": f"Labels, {where}"}
        world.deploy(make_pipeline(events=[Source("shop.orders"), Source("shop.more")]))
        await until(lambda: len(service.knowledge.deployed) == 2)
        await until(lambda: "shop.more" in service.definition.sources)
        assert await sources() == orders | {"shop.more": f"Events, {where}"}

    world.serve(test, topic_names={"shop.orders": "prod.orders"})


def test_learning_that_is_paused_needs_attention(world):
    """Until it is resumed in each partition."""
    for partition in range(2):
        entry = audit(writer="w", subject="learning", action="paused", digest=str(partition))
        world.write("audit", entry, partition)

    async def test(client, service):
        assert (await get(client, "overview"))["is_paused"] is True
        entry = audit(writer="w", subject="learning", action="resumed")
        world.write("audit", entry, 0)
        await until(lambda: service.watched.counts["audit"] == 4)
        assert (await get(client, "overview"))["is_paused"] is True
        world.write("audit", entry, 1)
        await until(lambda: service.watched.counts["audit"] == 5)
        assert (await get(client, "overview"))["is_paused"] is False

    world.serve(test)


def test_more_than_so_many_may_not_listen(world, monkeypatch):
    """503 says what to do."""
    monkeypatch.setattr("millrace.streams.serve.views.MOST_VIEWERS", 0)

    async def test(client, _service):
        answer = await client.get("/v1/live")
        assert answer.status_code == 503
        assert answer.json()["fix"] == "Close one."

    world.serve(test)


def test_what_is_new_is_told_twice_a_second(world, monkeypatch):
    """Counts first; then the newest predictions, however many there were. A stop ends it."""
    monkeypatch.setattr("millrace.streams.serve.views.LIVE_SECONDS", 0.02)
    monkeypatch.setattr("millrace.streams.serve.views.MOST_LIVE", 3)

    async def test(client, service):
        async def listen():
            answer = await client.get("/v1/live?predictions=true")
            assert answer.headers["content-type"].startswith("text/event-stream")
            return answer.text

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.1)
        for number in range(10):
            world.predict(f"e{number}")
        await until(lambda: service.watched.counts["predictions"] == 10)
        await asyncio.sleep(0.1)
        service.hub.close()
        parts = [each.split("\n") for each in (await listening).split("\n\n") if each]
        told = [(name.removeprefix("event: "), json.loads(data[6:])) for name, data in parts]
        assert told[0][0] == "counts"
        assert told[-1][1]["predictions"] == 10
        shown = [said for name, said in told if name == "predictions"]
        assert sum(each["new"] for each in shown) == 10
        assert all(len(each["records"]) <= 3 for each in shown)
        assert shown[-1]["records"][0]["event_id"] == "e9"

    world.serve(test)
