"""A definition is given out if it is whole, of this pipeline, and signed with the key."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from millrace.models.bundles.bundle import Bundle
from millrace.models.bundles.collecting import collect
from millrace.models.bundles.importing import load
from millrace.models.bundles.naming import renamed
from millrace.models.pipeline.loading import load_pipeline
from millrace.schemas import BrokerError, DefinitionError, SnapshotError
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.state import snapshot
from millrace.streams.state.allowed import own_modules
from millrace.streams.state.definitions import DefinitionStore, opened, signed
from millrace.streams.state.signing import sign
from tests.unit.streams.conftest import KEY

TOPIC = "p.definitions"
VISITS = """
from river.naive_bayes import GaussianNB
from millrace import Pipeline
from own_helpers_of_definitions import Kept


class Own(GaussianNB):
    def __init__(self):
        super().__init__()
        self.kept = Kept()

    def score(self):
        return RATE


pipeline = Pipeline(name="v", event_id="id", task="binary", models={"m": Own}, schema={
    "type": "record", "name": "V", "fields": [
        {"name": "id", "type": "string"}, {"name": "x", "type": "double"}]})
"""


def bundle(number: int = 1) -> Bundle:
    return Bundle("v:pipeline", {"v": "v.py"}, {"v.py": f"N = {number}\n"}, {"models": []})


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker({TOPIC: 1})


@pytest.fixture
def make_store(broker: FakeBroker) -> Callable[..., DefinitionStore]:
    def make(key: bytes = KEY, prefix: str = "p.") -> DefinitionStore:
        return DefinitionStore(FakeClients(broker), prefix, key)

    return make


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """Return the bundle of a file with a rate, whose path is `path` of the bundle's description."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def collected(rate: int) -> Bundle:
        (tmp_path / "own_helpers_of_definitions.py").write_text("class Kept:\n    pass\n")
        path = tmp_path / "visits_of_definitions.py"
        path.write_text(f"{VISITS}\nRATE = {rate}\n")
        return collect(str(path), {"path": str(path)})

    return collected


def test_what_is_published_is_there(make_store: Callable[..., DefinitionStore]) -> None:
    """For whoever has the key, by its digest, with its description."""
    first, second = bundle(1), bundle(2)
    store = make_store()
    assert store.all() == {}
    for each in (first, second, first):
        store.publish(each)
    again = make_store(b"new\n" + KEY)
    assert again.get(second.digest) == second
    assert again.all() == {first.digest: first, second.digest: second}


def test_what_is_not_there(make_store: Callable[..., DefinitionStore]) -> None:
    """The topic and the digest are named."""
    make_store().publish(bundle())
    with pytest.raises(SnapshotError, match=rf"must be in the topic {TOPIC}; .* digest '0f'\. Dep"):
        make_store().get("0f")


WRONG = {
    "not signed": (bundle().to_bytes(), "a snapshot must be signed"),
    "empty": (None, "a snapshot must be signed"),
    "another key": (signed(bundle(), "p.", b"other"), "does not match this key"),
    "cut off": (signed(bundle(), "p.", KEY)[:-1], "does not match this key"),
    "another pipeline": (signed(bundle(), "q.", KEY), "signed for something else"),
    "another digest": (signed(bundle(2), "p.", KEY), f"is of the digest {bundle(2).digest}"),
    "state": (snapshot.dump({"B": 1}, KEY), "signed for something else"),
    "state as data": (snapshot.dump(b"Bp.", KEY), "signed for something else"),
    "another form": (sign(b"Bp.\0" + b"x", KEY), "it is damaged"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_never_given_out(
    case: str, make_store: Callable[..., DefinitionStore], broker: FakeBroker
) -> None:
    """By name or among all; it is logged, and what is right beside it is found."""
    value, why = WRONG[case]
    broker.put(TOPIC, value, key=bundle().digest.encode())
    store = make_store()
    with pytest.raises(SnapshotError, match=why):
        store.get(bundle().digest)
    make_store().publish(bundle(3))
    with capture_logs() as logs:
        assert [*store.all()] == [bundle(3).digest]
    assert [(each["topic"], each["digest"]) for each in logs] == [(TOPIC, bundle().digest)]


def test_the_genuine_one_is_found_behind_a_wrong_one(
    make_store: Callable[..., DefinitionStore], broker: FakeBroker
) -> None:
    """Whoever may write the topic, but has no key, hides nothing until it is compacted."""
    make_store().publish(bundle())
    broker.put(TOPIC, b"garbage", key=bundle().digest.encode())
    assert make_store().get(bundle().digest) == bundle()


def test_what_a_record_cannot_hold() -> None:
    """Text that cannot be compressed, in the description for example."""
    noise = random.Random(1).randbytes(600_000).hex()
    with pytest.raises(DefinitionError, match="must have 1,000,000 bytes or less when it is comp"):
        signed(
            Bundle("v:p", {"v": "v.py"}, {"v.py": ""}, {"noise": [noise, noise[::-1]] * 2}), "", KEY
        )
    large = Bundle("v:p", {"v": "v.py"}, {"v.py": noise[:999_999]})
    assert opened(signed(large, "p.", KEY), "p.", KEY) == large


def test_a_broker_that_refuses(
    make_store: Callable[..., DefinitionStore], broker: FakeBroker
) -> None:
    """It is not taken for published."""
    broker.refused[TOPIC] = KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(BrokerError):
        make_store().publish(bundle())


def test_state_of_two_versions(collected: Callable[[int], Bundle]) -> None:
    """State is loaded with the classes of its version, whichever pipeline is asked."""
    pipelines = [load(collected(rate)) for rate in (1, 2)]
    models = [each.models["m"]() for each in pipelines]
    saved = [snapshot.dump(each, KEY) for each in models]
    for pipeline in pipelines:
        loaded = [snapshot.load(each, KEY, own_modules(pipeline)) for each in saved]
        assert [each.score() for each in loaded] == [1, 2]
        assert [type(each) for each in loaded] == [type(each) for each in models]
        assert type(loaded[0].kept) is type(loaded[1].kept)


def test_state_of_the_file(collected: Callable[[int], Bundle]) -> None:
    """What was saved by a pipeline from its file is loaded with the classes of its bundle."""
    bundle = collected(1)
    saved = snapshot.dump(load_pipeline(str(bundle.description["path"])).models["m"](), KEY)
    pipeline = load(bundle)
    for name in ("pipeline_visits_of_definitions", "own_helpers_of_definitions"):
        del sys.modules[name]
    with pytest.raises(SnapshotError, match=r"pipeline_visits_of_definitions\.Own"):
        snapshot.load(saved, KEY, own_modules(pipeline))
    loaded = snapshot.load(saved, KEY, own_modules(pipeline), renamed(bundle))
    assert type(loaded) is pipeline.models["m"]


def test_a_bundle_that_is_not_loaded(collected: Callable[[int], Bundle]) -> None:
    """Its classes are not found."""
    saved = snapshot.dump(load(collected(3)).models["m"](), KEY)
    module = load(collected(3)).models["m"].__module__
    unknown = saved.replace(module.encode(), module.replace(".", ".0", 1)[: len(module)].encode())
    body = sign(unknown[36:], KEY)
    with pytest.raises(SnapshotError, match="there is no millrace_bundle"):
        snapshot.load(body, KEY, own_modules(load(collected(3))))
