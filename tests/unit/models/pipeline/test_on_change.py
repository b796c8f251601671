"""A candidate with a version, and with an answer to its own change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from river import forest, linear_model, naive_bayes

import millrace
from millrace import Candidate, Pipeline, load_pipeline
from millrace.models.identity.definition import identities
from millrace.models.pipeline.on_change import OnChange
from millrace.schemas import DefinitionError
from millrace.streams.state.allowed import own_modules

SCHEMA = {
    "type": "record",
    "name": "Visit",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "age", "type": "double"},
        {"name": "bought", "type": "boolean"},
    ],
}


def visits(**models: Any) -> Pipeline:
    return Pipeline(
        name="visits", schema=SCHEMA, event_id="id", task="binary", models=models, label="bought"
    )


def test_it_makes_what_its_factory_makes() -> None:
    """Wherever a factory stands, so does a candidate: the same seeds, results and identity."""
    plain = visits(forest=forest.ARFClassifier)
    wrapped = visits(forest=Candidate(forest.ARFClassifier, on_change="replace"))
    assert wrapped.seeds == plain.seeds != {}
    assert wrapped.fresh_model("forest").seed == plain.fresh_model("forest").seed
    assert identities(wrapped) == identities(plain)
    rows = [{"id": str(i), "age": float(i % 7), "bought": i % 7 > 3} for i in range(50)]
    assert millrace.run(wrapped, rows).metrics == millrace.run(plain, rows).metrics


def test_a_version_is_its_identity() -> None:
    """Whatever the code, a candidate with the version of before is the one of before."""

    def of(version: str, l2: float) -> dict[str, str]:
        return identities(
            visits(m=Candidate(lambda: linear_model.LogisticRegression(l2=l2), version=version))
        )

    assert of("1", 0.1) == of("1", 0.2) != of("2", 0.1)


def test_what_it_wraps_is_what_state_may_hold(tmp_path: Path) -> None:
    """The module of the author's factory is found behind it."""
    file = tmp_path / "wrapping.py"
    file.write_text(
        "from river.naive_bayes import GaussianNB\n"
        "from millrace import Candidate, Pipeline\n"
        "def make():\n    return GaussianNB()\n"
        f"pipeline = Pipeline(name='v', schema={SCHEMA}, event_id='id', task='binary',\n"
        "    label='bought', models={'own': Candidate(make, version='1')})\n"
    )
    assert own_modules(load_pipeline(str(file))) == {"pipeline_wrapping"}


def test_the_default_is_a_challenge() -> None:
    """The new model has to win."""
    assert Candidate(naive_bayes.GaussianNB).on_change is OnChange.CHALLENGE
    assert Candidate(naive_bayes.GaussianNB, on_change="adopt").on_change is OnChange.ADOPT


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"version": 2}, r"Candidate\(\): version must be text; got 2"),
        ({"version": ""}, r"Candidate\(\): version must be text; got ''"),
        (
            {"on_change": "replce"},
            r"Candidate\(\): on_change must be one of 'challenge', 'replace', 'adopt'; got"
            r" 'replce'. Did you mean 'replace'\?",
        ),
        ({"verson": "2"}, r"Candidate\(\) has no parameter 'verson'. Did you mean 'version'\?"),
    ],
)
def test_a_wrong_parameter_is_named(given: dict[str, Any], says: str) -> None:
    """In one line, with what it must be."""
    with pytest.raises(DefinitionError, match=says):
        Candidate(naive_bayes.GaussianNB, **given)


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (naive_bayes.GaussianNB(), r"models\['m'\] must be a callable that returns a fresh model"),
        (5, r"models\['m'\] must be a callable that returns a fresh River model; got 5"),
        (lambda _: None, r"models\['m'\] must take no argument"),
        (linear_model.LinearRegression, r"models\['m'\] must be a river.base.Classifier"),
        (
            Candidate(naive_bayes.GaussianNB),
            r"models\['m'\] must be one Candidate around a callable, not around another",
        ),
    ],
    ids=["model", "number", "argument", "task", "candidate"],
)
def test_a_wrong_factory_is_found_behind_it(factory: Any, says: str) -> None:
    """The definition checks what it wraps as it checks a plain factory."""
    with pytest.raises(DefinitionError, match=says):
        visits(m=Candidate(factory))
