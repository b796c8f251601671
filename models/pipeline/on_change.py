"""What becomes of a candidate's model when a deploy brings another definition of it.

A plain factory says all that most pipelines need. `Candidate` wraps one where its author counts
versions, or wants another answer than a challenge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import TypeAlias

from millrace.models.parameters import choice, named_fields, text
from millrace.models.pipeline.model import Model, ModelFactory


class OnChange(StrEnum):
    """What happens at a deploy to a candidate whose definition has changed.

    Examples
    --------
    >>> OnChange("replace")
    <OnChange.REPLACE: 'replace'>
    """

    CHALLENGE = "challenge"
    """The new one is trained beside the old one, which serves until the new one wins."""
    REPLACE = "replace"
    """The new one takes the old one's place at once, untrained."""
    ADOPT = "adopt"
    """What the old one has learned goes on under the new definition, added features included."""


@named_fields
@dataclass(frozen=True)
class Candidate:
    """A factory of models, with what a deploy does when it has changed.

    It stands in `Pipeline.models` in place of the factory alone, and returns its models.

    Parameters
    ----------
    factory
        Returns a fresh River model, without arguments.
    version
        Stands for the code of the factory: the candidate has changed if its version has, and only
        then. By default its code is compared, and all that it refers to.
    on_change
        `challenge`, `replace` or `adopt`: see `OnChange`.

    Raises
    ------
    DefinitionError
        Naming the parameter, what it must be and what was given.

    Examples
    --------
    >>> from river.naive_bayes import GaussianNB
    >>> bayes = Candidate(GaussianNB, version="2", on_change="replace")
    >>> bayes()
    GaussianNB ()
    >>> Candidate(GaussianNB, version=2)
    Traceback (most recent call last):
    millrace.schemas.errors.DefinitionError: Candidate(): version must be text; got 2
    """

    factory: ModelFactory
    _: KW_ONLY
    version: str | None = None
    on_change: OnChange | str = OnChange.CHALLENGE

    def __post_init__(self) -> None:
        if self.version is not None:
            text("Candidate(): version", self.version)
        chosen = choice("Candidate(): on_change", self.on_change, OnChange)
        object.__setattr__(self, "on_change", chosen)

    def __call__(self) -> Model:
        """Return a fresh model."""
        return self.factory()


MadeBy: TypeAlias = Mapping[str, str | None]
"""What a model was made by: the identity of its factory's `code`, and the `version`, if given."""


def is_same_model(before: MadeBy, now: MadeBy) -> bool:
    """Whether two definitions of a candidate mean the same model.

    Their versions say it where both have one, or else their code.

    Examples
    --------
    >>> is_same_model({"version": "2", "code": "a"}, {"version": "2", "code": "b"})
    True
    """
    if before["version"] is not None and now["version"] is not None:
        return before["version"] == now["version"]
    return before["code"] is not None and before["code"] == now["code"]


def as_candidate(factory: ModelFactory) -> Candidate:
    """Return an entry of `Pipeline.models` as a candidate.

    Examples
    --------
    >>> as_candidate(dict).on_change
    <OnChange.CHALLENGE: 'challenge'>
    """
    return factory if isinstance(factory, Candidate) else Candidate(factory)
