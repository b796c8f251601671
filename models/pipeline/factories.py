"""Factories of models: each returns a fresh River model that can do the task.

What is wrong with one is found when the definition is made: two of its models are made and
compared, but not trained.
"""

from __future__ import annotations

from collections.abc import Mapping

from millrace.models.parameters import function, made, require
from millrace.models.pipeline.model import Model, ModelFactory
from millrace.models.pipeline.on_change import Candidate, as_candidate
from millrace.models.pipeline.parts import shared
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError

_FRESH = "Make every part inside the callable: lambda: StandardScaler() | LogisticRegression()"


def check_factories(models: Mapping[str, ModelFactory], task: Task) -> None:
    """Refuse factories that do not return a fresh model for the task at every call.

    Raises
    ------
    DefinitionError
        Naming the model and the fix.
    """
    models_made: dict[str, Model] = {}
    for name, entry in models.items():
        where, factory = f"models[{name!r}]", as_candidate(entry).factory
        must = f"{where} must be one Candidate around a callable, not around another"
        require(not isinstance(factory, Candidate), must, factory)
        is_model = not isinstance(factory, type) and hasattr(factory, "learn_one")
        must = f"{where} must be a callable that returns a fresh model,"
        require(not is_model, f"{must} for example lambda: HoeffdingTreeClassifier()", factory)
        function(where, factory, arguments=0, returns="a fresh River model")
        first, second = (made(where, factory, returns="a fresh River model") for _ in range(2))
        task.check_model(name, first)
        _refuse_shared(where, first, where, second)
        for other, model in models_made.items():
            _refuse_shared(where, first, f"models[{other!r}]", model)
        models_made[name] = first


def _refuse_shared(where: str, model: Model, other: str, second: Model) -> None:
    place = shared((where, model), (other, second))
    if place is None:
        return
    whose = "two of its models" if where == other else f"this model and {other}"
    what = "the same object" if place == where else f"the same {place.removeprefix(where)}"
    raise DefinitionError(
        f"{where} must be a callable that returns a fresh model at every call; got {what} in"
        f" {whose}. {_FRESH}"
    )
