"""`millrace topics` lists what a broker has of a pipeline, and creates what is missing."""

from __future__ import annotations

import pytest

LOANS = ["-p", "millrace.models.pipelines.loans"]


@pytest.fixture
def rows(call):
    """Run the command; return the cells of the row of each topic."""

    def rows(*arguments):
        code, out, _ = call("topics", *LOANS, *arguments)
        assert code == 0
        assert "loans on fake" in out
        lines = [line.replace("│", " ").split() for line in out.splitlines() if "loans." in line]
        return {topic: cells for topic, *cells in lines}

    return rows


def test_missing_topics_are_listed_and_not_created(rows, broker):
    """Without --create nothing changes."""
    assert rows()["loans.events"] == ["missing", "-", "delete", "you", "produce"]
    assert broker.topics == {}


def test_topics_are_created(rows, broker):
    """With four partitions, unless --partitions says otherwise."""
    found = rows("--create")
    assert found["loans.events"] == ["4", "0", "delete", "you", "produce"]
    assert found["loans.models"] == ["4", "0", "compact", "internal"]
    assert {*found} == {*broker.topics}
    broker.topics.clear()
    assert rows("--create", "--partitions", "2")["loans.events"] == [
        "2",
        "0",
        "delete",
        "you",
        "produce",
    ]


def test_topics_of_the_chain_are_listed(rows):
    """Agents of another chain have other topics for their state."""
    assert "loans.state.prediction-learning" in rows()
    assert "loans.state.learning" in rows("--chain", "split")


def test_records_are_counted(rows, broker):
    """Over all partitions, without those that expired."""
    broker.create("loans.events", 2)
    for partition in (0, 0, 0, 1):
        broker.put("loans.events", b"{}", partition=partition)
    assert rows()["loans.events"] == ["2", "4", "delete", "you", "produce"]
    broker.expire("loans.events", before=2)
    assert rows()["loans.events"] == ["2", "2", "delete", "you", "produce"]


def test_what_does_not_fit_is_said(call, broker):
    """Beside the table, which lists topics all the same; --create refuses before it creates."""
    broker.create("loans.events", 3)
    broker.create("loans.labels", 1, {"cleanup.policy": "compact"})
    broker.create("loans.state.ingest", 2, {"cleanup.policy": "compact"})
    code, out, _ = call("topics", *LOANS)
    assert code == 0
    assert "topic loans.state.ingest has 2 partitions and needs 3" in out
    assert "topic loans.labels has cleanup.policy=compact" in out
    code, out, _ = call("topics", *LOANS, "--chain", "full")
    assert "must have the same number of partitions" in out
    code, _, err = call("topics", *LOANS, "--chain", "full", "--create")
    assert code != 0
    assert "must have the same number of partitions" in err
    assert len(broker.topics) == 3


def test_topics_are_created_to_fit_those_that_are_there(rows, broker):
    """The default of --partitions counts only where there are none."""
    broker.create("loans.events", 6)
    found = rows("--create")
    for name in ("commands", "definitions", "evaluations", "state.control", "state.selection"):
        assert found.pop(f"loans.{name}")[0] == "1"
    assert {cells[0] for cells in found.values()} == {"6"}


def test_sources_are_listed(call, broker, tmp_path):
    """Under the names that they have here, also where one begins as the pipeline's topics do."""
    file = tmp_path / "attached_topics.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from millrace import Source\n"
        "from millrace.models.pipelines.loans import pipeline\n"
        "pipeline = replace(pipeline, events=[Source('rows'), Source('loans.more')])\n"
    )
    broker.create("loans.more", 3)
    broker.put("loans.more", b"{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_TOPICS", "rows=shop.rows")
        code, out, _ = call("topics", "-p", str(file))
    assert code == 0
    rows = [line.replace("│", " ").split() for line in out.splitlines()]
    assert ["shop.rows", "missing", "-", "you", "produce"] in rows
    assert ["loans.more", "3", "1", "you", "produce"] in rows
    assert "got none of the names shop.rows" in out
