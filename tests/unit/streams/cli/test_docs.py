"""`millrace docs` prints or writes what is known of a pipeline's topics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millrace.streams.cli import run

_FILE = """
from millrace import Pipeline, Source, catalogue, derived

print("hello from the file")

def loud(order):
    print("hello from a feature")
    return order["price"] * 2

pipeline = Pipeline(
    name="shop",
    schema={"type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "string"},
        {"name": "price", "type": "double"},
    ]},
    event_id="id", task="binary", models={"alma": catalogue.alma},
    features=[derived("is_dear", lambda order: order["price"] > 100), derived("loud", loud)],
    events=[Source("orders", envelope="debezium")],
)
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Write a pipeline file that prints."""
    path = tmp_path / "shop_docs.py"
    path.write_text(_FILE)
    return str(path)


def test_the_document_is_printed(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the document and nothing else, whatever the file prints."""
    assert run(["docs", "--pipeline", file]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["info"]["title"] == "shop"
    assert "hello from the file" in err


def test_settings_are_those_of_the_workers(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of topics, format of outputs and broker are as they are set."""
    monkeypatch.setenv("MILLRACE_TOPICS", "orders=prod.orders")
    monkeypatch.setenv("MILLRACE_PIPELINE_NAME", "shop-2")
    assert run(["docs", "-p", file, "--outputs", "json", "--broker", "kafka:9092"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"shop-2.events", "prod.orders"} <= document["channels"].keys()
    assert [*document["channels"]["shop-2.predictions"]["messages"]] == ["json"]
    assert document["servers"]["broker1"]["host"] == "kafka:9092"


def test_files_are_written_and_the_same_again(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The document and the page are written, and are the same the second time."""
    folder = tmp_path / "site"
    assert run(["docs", "-p", file, "--out", str(folder)]) == 0
    assert {each.name for each in folder.iterdir()} == {"asyncapi.json", "index.html"}
    assert json.loads((folder / "asyncapi.json").read_text())["asyncapi"] == "3.0.0"
    assert "<h1>shop</h1>" in (folder / "index.html").read_text()
    assert run(["docs", "-p", file, "--out", str(folder)]) == 0
    (folder / "index.html").write_text("mine")
    assert run(["docs", "-p", file, "--out", str(folder)]) == 2
    assert "index.html. Add --force" in capsys.readouterr().err


def test_no_registry_is_needed(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is in examples only: the one that is set, or one to be replaced."""
    monkeypatch.delenv("SCHEMA_REGISTRY_URL", raising=False)
    asked = ["docs", "-p", file, "--outputs", "confluent", "--force", "--out", str(tmp_path)]
    assert run(asked) == 0
    assert "-r http://schema-registry:8081" in (tmp_path / "index.html").read_text()
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "https://registry")
    assert run(asked) == 0
    assert "-r https://registry" in (tmp_path / "index.html").read_text()


def test_a_pipeline_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without one, the error says how to name it."""
    assert run(["docs"]) == 2
    assert "Add --pipeline" in capsys.readouterr().err
