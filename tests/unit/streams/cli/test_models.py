"""`millrace models` says who is ahead, by how much, and what would prove it."""

from __future__ import annotations

import json
import random
from collections.abc import Generator
from typing import Any

import pytest

from millrace.models.selection.promotion import NO_PROMOTION, Promotion
from millrace.schemas import shipped
from millrace.schemas.records import BlockLosses, Evaluation
from millrace.streams.tools import evaluations

LOANS = ["-p", "millrace.models.pipelines.loans"]
GROUPS: Any = {
    "DE": {"forest": {"events": 80, "difference": 8.0, "squared_difference": 30.0}},
    "AT": {"forest": {"events": 20, "difference": -9.0, "squared_difference": 12.0}},
}
METRICS: Any = {
    "hoeffding_tree": {
        "accuracy": {"cumulative": 0.71234, "rolling": 0.7},
        "f1": {"cumulative": 0.25, "rolling": None},
    },
    "no_change": {"accuracy": {"cumulative": None, "rolling": 0.5}},
}
BEGIN_MS = 1_700_000_000_000
ERRORS = {"hoeffding_tree": 0.30, "logistic_regression": 0.22, "forest": 0.31, "no_change": 0.45}


def block(
    number: int,
    rng: random.Random,
    champion: str = "hoeffding_tree",
    promotion: Promotion = NO_PROMOTION,
) -> Evaluation:
    """Return a block of events at which candidates err with the probabilities of `ERRORS`."""
    wrong = {name: [float(rng.random() < p) for _ in range(100)] for name, p in ERRORS.items()}
    return Evaluation(
        partition=0,
        number=number,
        definition="",
        champion=champion,
        command=0,
        first_time_ms=BEGIN_MS + number,
        last_time_ms=BEGIN_MS + number,
        events=100,
        late_labels=number % 2,
        failures=0,
        loss_bound=1.0,
        drifted=[],
        terms=promotion.terms("zero_one"),
        candidates={
            name: compared(each, wrong[champion], champion) for name, each in wrong.items()
        },
        groups=GROUPS if promotion.group else {},
        metrics=METRICS if number % 20 == 19 else {},
        certainty=None,
    )


def compared(own: list[float], rival: list[float], champion: str) -> BlockLosses:
    """Return the losses of a candidate beside those of the champion."""
    differences = [b - a for a, b in zip(own, rival, strict=True)]
    return BlockLosses(
        rival=champion,
        events=100,
        missing=0,
        loss=sum(own),
        bounded_loss=sum(own),
        difference=sum(differences),
        squared_difference=sum(each * each for each in differences),
    )


@pytest.fixture
def put(broker: Any) -> Any:
    """Write blocks to the topic, among something that is none."""
    broker.create("loans.evaluations", 1)
    rng = random.Random(1)

    def put(count: int, *changes: Any) -> None:
        for number in range(count):
            value = block(number, rng, *changes)
            broker.put("loans.evaluations", shipped("evaluation").encode(value))
        broker.put("loans.evaluations", b"\xff")

    return put


def test_a_line_for_each_candidate(call: Any, put: Any) -> None:
    """The champion first, then who is ahead; baselines are last; and in words what it means."""
    put(12)
    code, out, _ = call("models", *LOANS)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("hoeffding_tree serves; 1,200 labels since 2023-11-14 22:13 UTC")
    names = [line.split()[1] for line in lines if line.startswith("│ ")]
    assert names == ["hoeffding_tree", "logistic_regression", "forest", "no_change"]
    assert lines[-4:] == [
        "logistic_regression is ahead of hoeffding_tree by more than 1 point; in about 22,545"
        " labels it has shown that well enough, if it stays so.",
        "forest is not ahead of hoeffding_tree.",
        "Nothing serves by itself: promotion= of the pipeline is off.",
        "Labels that came after their blocks, and count for none: 6",
    ]


def test_what_is_proven(call: Any, put: Any) -> None:
    """It says what is still needed, and then how to let the better one serve."""
    better = "logistic_regression is better than hoeffding_tree by more than 1 point"
    proven = f"{better}: this is proven"
    put(25)
    _, out, _ = call("models", *LOANS)
    assert f"{proven}; in about " in out
    put(40)
    _, out, _ = call("models", *LOANS)
    assert f"{proven}, and has shown again since; `millrace promote logistic_regression`" in out


def test_what_has_failed(call: Any, put: Any, broker: Any) -> None:
    """It says that it does not serve again by itself."""
    put(80, "hoeffding_tree", Promotion())
    failed = block(80, random.Random(0), "logistic_regression", Promotion())
    failed |= {"events": 0, "candidates": {}, "failures": 1, "command": 1}  # type: ignore[typeddict-item]
    failed["definition"] = "ab" * 16
    back = block(81, random.Random(0), "hoeffding_tree", Promotion()) | {
        "command": 2,
        "definition": "ab" * 16,
    }
    for each in (failed, back):
        broker.put("loans.evaluations", shipped("evaluation").encode(each))
    _, out, _ = call("models", *LOANS)
    assert "; definition abababababab" in out.splitlines()[0]
    assert "logistic_regression has failed on probation: it is not promoted again" in out
    document = json.loads(call("models", *LOANS, "--json")[1])
    assert document["definition"] == "ab" * 16
    assert document["failed"] == ["logistic_regression"]


def test_who_is_promoted(call: Any, put: Any) -> None:
    """It serves, on probation, after the one before; and the policy is told."""
    put(80, "hoeffding_tree", Promotion())
    _, out, _ = call("models", *LOANS)
    assert "and has shown again since; it is to serve." in out
    put(3, "logistic_regression", Promotion())
    _, out, _ = call("models", *LOANS)
    assert "logistic_regression serves after hoeffding_tree, on probation; 300 labels" in out
    assert "What has won serves by itself: policy auto." in out
    _, out, _ = call("models", *LOANS, "--json")
    found = json.loads(out)
    assert (found["former"], found["is_on_probation"]) == ("hoeffding_tree", True)
    assert found["terms"]["policy"] == "auto"


def test_json(call: Any, put: Any) -> None:
    """The same as data: what is proven, and how many labels are missing."""
    put(3)
    _, out, _ = call("models", *LOANS, "--json")
    found = json.loads(out)
    assert (found["champion"], found["blocks"], found["round"]) == ("hoeffding_tree", 3, 1)
    ahead = found["candidates"]["logistic_regression"]
    assert (ahead["role"], ahead["rival"], ahead["labels"]) == ("candidate", "hoeffding_tree", 300)
    assert 0 < ahead["difference"] < ahead["interval"][1]
    assert ahead["proof"] < 1 < ahead["labels_needed"]
    assert found["candidates"]["no_change"]["role"] == "baseline"
    assert found["candidates"]["hoeffding_tree"]["role"] == "champion"


def test_groups(call: Any, put: Any) -> None:
    """The largest first; one that is better on average may be worse for some."""
    put(2, "hoeffding_tree", Promotion(group="country"))
    code, out, _ = call("models", *LOANS, "--by-group")
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.startswith("│ ")]
    assert [(row[1], row[3]) for row in rows] == [("DE", "160"), ("AT", "40")]
    assert ["+10.0" in rows[0], "-45.0" in rows[1]] == [True, True]
    _, out, _ = call("models", *LOANS, "--json")
    assert json.loads(out)["groups"]["AT"]["forest"]["labels"] == 40


def test_without_groups(call: Any, put: Any) -> None:
    """It says how to name them."""
    put(2)
    _, out, _ = call("models", *LOANS, "--by-group")
    assert "promotion=Promotion(group=...)" in out


def test_the_newest_metrics(call: Any, put: Any) -> None:
    """Below, in 80 columns: of all labels, and of the newest; a metric that is not known is -."""
    put(20)
    code, out, _ = call("models", *LOANS)
    assert code == 0
    below = out[out.index("Metrics of all labels, in parentheses of the newest; 2023-11-14") :]
    assert max(map(len, below.splitlines())) <= 80
    rows = [line.split("│")[1:-1] for line in below.splitlines() if line.startswith("│ ")]
    assert [[*map(str.strip, row)] for row in rows] == [
        ["hoeffding_tree", "0.7123 (0.7)", "0.25"],
        ["no_change", "- (0.5)", "-"],
    ]
    _, out, _ = call("models", *LOANS, "--json")
    newest = {"partition": 0, "number": 19, "last_time_ms": BEGIN_MS + 19, "metrics": METRICS}
    assert json.loads(out)["metrics"] == [newest]


def test_the_newest_metrics_of_several_partitions(call: Any, broker: Any) -> None:
    """The table shows those of one partition and says so; as data there are all."""
    broker.create("loans.evaluations", 1)
    for partition, number in ((1, 19), (0, 39), (1, 59), (0, 60)):
        value = block(number, random.Random(1)) | {"partition": partition}
        broker.put("loans.evaluations", shipped("evaluation").encode(value))
    _, out, _ = call("models", *LOANS)
    assert "of partition 1: --json has all" in out
    _, out, _ = call("models", *LOANS, "--json")
    found = [(each["partition"], each["number"]) for each in json.loads(out)["metrics"]]
    assert found == [(0, 39), (1, 59)]


def test_without_metrics(call: Any, put: Any) -> None:
    """Before there are any, and where learning is apart, there is no table of them."""
    put(9)
    _, out, _ = call("models", *LOANS)
    assert "Metrics" not in out
    _, out, _ = call("models", *LOANS, "--json")
    assert json.loads(out)["metrics"] == []


def test_nothing_yet(call: Any, broker: Any) -> None:
    """Before the first block it says what it waits for."""
    broker.create("loans.evaluations", 1)
    code, out, _ = call("models", *LOANS)
    assert (code, "all its labels yet" in out) == (0, True)
    code, out, _ = call("models", *LOANS, "--json")
    assert (code, json.loads(out)["candidates"]) == (0, {})


def test_a_broker_without_the_topic(call: Any) -> None:
    """An error, with what to do."""
    code, _, err = call("models", *LOANS)
    assert (code, "loans.evaluations" in err) == (2, True)


def test_it_goes_on(call: Any, put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --watch it shows what has come since, until it is ended."""
    follow = evaluations.follow_evaluations

    def until_the_second(*arguments: Any) -> Generator[evaluations.Followed, None, None]:
        contests = follow(*arguments)
        yield next(contests)
        put(9)
        yield next(contests)

    put(3)
    monkeypatch.setattr(evaluations, "follow_evaluations", until_the_second)
    code, out, _ = call("models", *LOANS, "--watch")
    assert (code, "hoeffding_tree serves; 1,200 labels" in out) == (0, True)


def test_either_a_table_or_data(call: Any) -> None:
    """What goes on is no JSON object."""
    code, _, err = call("models", *LOANS, "--watch", "--json")
    assert (code, "--watch shows a table; leave out --json" in err) == (2, True)
