"""Which definitions were in force, and what two of them differ in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from millrace.models.bundles.bundle import Bundle
from millrace.models.identity.definition import describe
from millrace.models.pipelines.loans import pipeline
from millrace.schemas import SettingsError
from millrace.streams.kafka.admin import prepare_topics
from millrace.streams.kafka.fakes import FakeBroker, FakeClients
from millrace.streams.operators.record import AuditRecord, Origin, RawRecord
from millrace.streams.operators.slice import Slice
from millrace.streams.settings import Settings
from millrace.streams.state.definitions import DefinitionStore
from millrace.streams.tools.defined import task_factory
from millrace.streams.tools.deployed import Deployed, deployed, difference
from millrace.streams.topology.chain import CONTROL_AGENT
from millrace.streams.topology.codec import TopicCodec

KEY = "a key for tests"
ONE, TWO = (
    Bundle("loans:pipeline", {"loans": "loans.py"}, {"loans.py": f"# {rolling}\n"}, describe(each))
    for rolling, each in ((1_000, pipeline), (50, replace(pipeline, rolling_window=50)))
)
SETTINGS = Settings(broker="fake", state_key=KEY)


def deploy_of(bundle: Bundle) -> dict[str, str]:
    description = json.dumps(bundle.description)
    return {"definition": bundle.digest, "description": description, "signature": "-"}


@pytest.fixture(scope="module")
def clients() -> FakeClients:
    """Make a broker on which control has accepted deploys, and what was set between them."""
    broker = FakeBroker()
    clients = FakeClients(broker)
    prepare_topics(clients, pipeline, SETTINGS)
    store = DefinitionStore(clients, "loans.", KEY.encode())
    control, codec = task_factory(pipeline, SETTINGS, CONTROL_AGENT, 1).make(), TopicCodec(pipeline)
    for each in (ONE, TWO):
        store.publish(each)
    for offset, (name, arguments) in enumerate(
        (
            ("deploy", deploy_of(ONE)),
            ("set", {"name": "drift.policy", "value": "alert"}),
            ("set", {"name": "drift.policy", "value": "retrain"}),
            ("pause", {}),
            ("deploy", deploy_of(TWO)),
            ("set", {"name": "drift.inputs.age", "value": "none"}),
        )
    ):
        document = {"command": name, "arguments": arguments, "who": "anna", "why": name}
        origin = Origin("commands", 0, offset, offset, None, json.dumps(document).encode())
        for made in control.run(Slice([RawRecord.of(origin)])):
            if isinstance(made, AuditRecord):
                key, value = codec.encode(made)
                broker.put("loans.audit", value, key)
    return clients


@pytest.fixture
def history(clients: FakeClients) -> list[Deployed]:
    return deployed(clients, pipeline)


def test_what_was_set_is_in_the_history(history: list[Deployed]) -> None:
    """With what was deployed, oldest first; what was refused is not."""
    assert [(each.number, each.definition, each.why) for each in history] == [
        (1, ONE.digest, "deploy"),
        (2, f"{ONE.digest}?drift.policy=alert", "set"),
        (4, TWO.digest, "deploy"),
        (5, f"{TWO.digest}?drift.inputs.age=none", "set"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("1", "2", ["drift.policy is 'alert'; it was 'replace'"]),
        ("2", "4", ["drift.policy is 'replace'; it was 'alert'", "rolling_window begins anew"]),
        (ONE.digest[:6], f"{ONE.digest[:6]}?drift.policy=alert", ["drift.policy is 'alert'"]),
        (TWO.digest[:6], "5", ["drift.inputs['age'] ends"]),
        ("2", "1", ["drift.policy is 'replace'; it was 'alert'"]),
    ],
)
def test_two_of_them_are_compared(
    before: str, after: str, expected: list[str], clients: FakeClients, history: list[Deployed]
) -> None:
    """By number, or by digest and what was set; files are compared where they are other."""
    lines = [*difference(clients, pipeline, SETTINGS, history, before, after)]
    for each in expected:
        assert any(each in line for line in lines), lines
    assert any(line.startswith("+++ loans.py") for line in lines) is ((before, after) == ("2", "4"))


@pytest.mark.parametrize("which", ["3", "7", "x", "", "?drift.policy=alert"])
def test_what_there_is_not_is_refused(
    which: str, clients: FakeClients, history: list[Deployed]
) -> None:
    """The error lists what there is."""
    with pytest.raises(
        SettingsError, match=r"one of the definitions 1 \(.*\?drift\.policy=alert\)"
    ):
        [*difference(clients, pipeline, SETTINGS, history, which, "1")]
