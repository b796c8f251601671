"""Versions of the pipeline under test: what its owner changes while it runs.

Each is the file of the pipeline with lines at its end, in a folder of its own: so all have the same
name, and each brings its own classes with it. Some may not follow what is in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

FILE = Path(__file__).with_name("pipeline.py")
_REFUSED_SHARE = 0.2
_RETIRED = "candidate retired"
_CHALLENGED = {"candidate challenged": ("forest",), "own class challenged": ("moody",)}
_IMPORTS = """
from functools import partial

from river.metrics import GeometricMean
from river.tree import HoeffdingTreeClassifier

from millrace import Candidate, Conformal


def changed(**parts):
    global {attribute}
    {attribute} = replace({attribute}, **parts)


def certain(**parts):
    before = {attribute}.certainty or Conformal()
    changed(certainty=replace(before, **{{name: of(before) for name, of in parts.items()}}))
"""
_CHANGES = {
    "candidate added": (
        'changed(models={{**{attribute}.models, "extra_{number}":'
        " partial(LogisticRegression, l2=0.0001 * {number})}})"
    ),
    "candidate challenged": (
        'changed(models={{**{attribute}.models, "forest":'
        " partial(ARFClassifier, n_models=2, seed={number})}})"
    ),
    "own class challenged": (
        "class Moody(Moody):\n"
        "    def predict_proba_one(self, x):\n"
        "        return super().predict_proba_one({{**x, 'mood': {number}}})\n"
        'changed(models={{**{attribute}.models, "moody": Moody}})'
    ),
    "candidate replaced": (
        'changed(models={{**{attribute}.models, "hoeffding_tree": Candidate('
        'partial(HoeffdingTreeClassifier, grace_period=100 + {number}), on_change="replace")}})'
    ),
    "candidate adopted": (
        'changed(models={{**{attribute}.models, "logistic_regression": Candidate('
        'lambda: catalogue.logistic_regression(), version="{number}", on_change="adopt")}})'
    ),
    _RETIRED: (
        "changed(models={{name: each for name, each in {attribute}.models.items()"
        ' if name not in ("logistic_regression", "extra_{before}")}})'
    ),
    "feature added": (
        'changed(features=[*{attribute}.features, derived("late_{number}",'
        ' lambda payment: payment["amount"] * {number})])'
    ),
    "window added": (
        'changed(features=[*{attribute}.features, rolling("amount", "min",'
        ' window=timedelta(seconds=30 + {number}), by="shop")])'
    ),
    "metric changed": 'changed(metrics={{"GMean_{number}": GeometricMean}})',
    "rolling window changed": "changed(rolling_window=200 + {number})",
    "drift policy changed": ("changed(drift=replace({attribute}.drift, cooldown=100 + {number}))"),
    "promotion changed": (
        "changed(promotion=replace({attribute}.promotion, min_labels=50 + {number}))"
    ),
    "reasons changed": "changed(reasons=3 + {number})",
    "coverage changed": "certain(coverage=lambda _: 0.7 + 0.001 * {number})",
    "thresholds moved otherwise": (
        "certain(method=lambda it: 'pi' if it.method == 'sf_ogd' else 'sf_ogd')"
    ),
    "thresholds by key or not": "certain(by_key=lambda it: not it.by_key)",
    "certainty removed or asked for": (
        "changed(certainty=None if {attribute}.certainty else Conformal(coverage=0.8))"
    ),
    "field added": (
        "changed(earlier_schemas=[*{attribute}.earlier_schemas, SCHEMA])\n"
        'SCHEMA = {{**SCHEMA, "fields": [*SCHEMA["fields"], {{"name": "note_{number}",'
        ' "type": ["null", "string"], "default": None}}]}}\n'
        "changed(schema=SCHEMA)"
    ),
}
_REFUSED = {
    "feature of another meaning": (
        'changed(features=[derived("amount_per_item", lambda payment: {number}.0)])'
    ),
    "another event_id": 'changed(event_id="account")',
    "no champion": 'changed(models={{"nobody": LogisticRegression}})',
}
KINDS = {**_CHANGES, **_REFUSED}
"""What is changed to the lines that change it."""


@dataclass(frozen=True)
class Version:
    """A definition of the pipeline.

    Attributes
    ----------
    number
        0 for the one to begin with.
    file
        Where it is.
    changes
        The kinds of the changes that it is made of, in order, each with its lines.
    """

    number: int
    file: Path
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def what(self) -> str:
        """The last of its changes."""
        return self.changes[-1][0] if self.changes else "the first"

    @property
    def challenged(self) -> tuple[str, ...]:
        """The candidates that get a challenger when it follows the one that it was made of."""
        return _CHALLENGED.get(self.what, ())

    @property
    def is_safe(self) -> bool:
        """Whether it may follow the one that it was made of, whoever serves."""
        return self.what in _CHANGES and self.what != _RETIRED


class Versions:
    """Writes versions.

    Parameters
    ----------
    directory
        Where their folders go.
    attribute
        Of the file: which of its pipelines is changed.
    """

    def __init__(self, directory: Path, attribute: str) -> None:
        self.first = Version(0, FILE)
        self.attribute = attribute
        self._directory = directory
        self._count = 0

    def after(self, version: Version, random: Random) -> Version:
        """Write a version that differs from another one by one change, mostly one that may be."""
        kinds = _REFUSED if random.random() < _REFUSED_SHARE else _CHANGES
        return self.changed(version, random.choice([*kinds]))

    def changed(self, version: Version, kind: str) -> Version:
        """Write a version that differs from another one by a kind of change."""
        self._count += 1
        number, folder = self._count, self._directory / f"version-{self._count}"
        values = {"attribute": self.attribute, "number": number, "before": version.number}
        changes = (*version.changes, (kind, KINDS[kind].format(**values)))
        folder.mkdir(parents=True)
        file = folder / FILE.name
        lines = [_IMPORTS.format(**values), *(line for _, line in changes)]
        file.write_text(FILE.read_text() + "\n\n".join(lines) + "\n")
        return Version(number, file, changes)
