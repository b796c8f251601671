"""A task says what its labels are, and which models can do it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import anomaly, cluster, linear_model, multiclass, naive_bayes, preprocessing

from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError, RecordError, RejectReason

ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


@pytest.mark.parametrize(
    ("task", "value", "label"),
    [
        ("binary", True, True),
        ("binary", 0, False),
        ("binary", 1, True),
        ("anomaly", 1, True),
        ("anomaly", False, False),
        ("multiclass", "sky", "sky"),
        ("multiclass", "", ""),
        ("multiclass", -7, -7),
        ("multiclass", True, True),
        ("regression", 3, 3.0),
        ("regression", -0.5, -0.5),
    ],
)
def test_labels(task: str, value: object, label: object) -> None:
    """A label becomes the value that the task's models learn, of one type."""
    found = Task(task).label(value)
    assert (found, type(found)) == (label, type(label))


@pytest.mark.parametrize(
    ("task", "value", "wanted"),
    [
        ("binary", 2, "true, false, 1 or 0; got 2"),
        ("binary", "true", "true, false, 1 or 0; got 'true'"),
        ("binary", 1.0, "true, false, 1 or 0; got 1.0"),
        ("anomaly", 0.5, "true, false, 1 or 0; got 0.5"),
        ("multiclass", 1.0, "text, a whole number or a boolean; got 1.0"),
        ("multiclass", None, "text, a whole number or a boolean; got None"),
        ("regression", True, "a number; got True"),
        ("regression", "1", "a number; got '1'"),
    ],
)
def test_labels_of_another_type(task: str, value: object, wanted: str) -> None:
    """What cannot be a label says what the task needs."""
    with pytest.raises(RecordError) as caught:
        Task(task).label(value)
    assert caught.value.reason is RejectReason.UNKNOWN_LABEL_TYPE
    assert caught.value.detail.startswith(f"for the task {task!r}, a label must be {wanted}")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_labels_that_are_not_finite(value: float) -> None:
    """A number to be learned is finite."""
    with pytest.raises(RecordError) as caught:
        Task.REGRESSION.label(value)
    assert caught.value.reason is RejectReason.NOT_FINITE
    assert caught.value.detail == f"a label must be a finite number; got {value}"


@pytest.mark.parametrize(
    ("task", "types"),
    [
        ("binary", {"boolean", "int", "long"}),
        ("multiclass", {"string", "enum", "boolean", "int", "long"}),
        ("regression", {"float", "double", "int", "long"}),
        ("anomaly", {"boolean", "int", "long"}),
    ],
)
def test_label_types(task: str, types: set[str]) -> None:
    """A field of these Avro types can hold the label."""
    assert Task(task).label_types == types


def test_tasks_of_classes() -> None:
    """Two classes and many are classification, numbers and scores are not."""
    assert [task for task in Task if task.is_classification] == [Task.BINARY, Task.MULTICLASS]


@given(task=st.sampled_from(Task), value=ANYTHING)
def test_any_value_is_a_label_or_a_record_error(task: Task, value: Any) -> None:
    """Whatever comes as a label is one that can be learned, or is refused as a record."""
    kinds: dict[Task, tuple[type, ...]] = {
        Task.BINARY: (bool,),
        Task.ANOMALY: (bool,),
        Task.REGRESSION: (float,),
        Task.MULTICLASS: (bool, int, str),
    }
    try:
        label = task.label(value)
    except RecordError:
        return
    assert type(label) in kinds[task]
    assert label == (float(value) if task is Task.REGRESSION else value)


def test_a_number_beyond_a_float() -> None:
    """A whole number that no float can hold is refused, as other records are."""
    with pytest.raises(RecordError):
        Task.REGRESSION.label(10**400)


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("binary", linear_model.LogisticRegression()),
        ("binary", preprocessing.StandardScaler() | linear_model.LogisticRegression()),
        ("multiclass", naive_bayes.GaussianNB()),
        ("multiclass", multiclass.OneVsRestClassifier(linear_model.LogisticRegression())),
        ("regression", preprocessing.StandardScaler() | linear_model.LinearRegression()),
        ("anomaly", anomaly.HalfSpaceTrees(seed=1)),
        ("anomaly", anomaly.GaussianScorer()),
    ],
    ids=lambda each: type(each).__name__,
)
def test_models_that_can(task: str, model: object) -> None:
    """A model, or a pipeline that ends in one, fits the task that it is made for."""
    Task(task).check_model("own", model)


@pytest.mark.parametrize(
    ("task", "model", "wanted"),
    [
        ("binary", linear_model.LinearRegression(), "Classifier for the task 'binary'; got Linear"),
        ("regression", linear_model.LogisticRegression(), "Regressor for the task 'regression'"),
        ("regression", cluster.KMeans(seed=1), "got KMeans"),
        ("anomaly", naive_bayes.GaussianNB(), "AnomalyDetector for the task 'anomaly'"),
        ("multiclass", linear_model.LogisticRegression(), "multiclass.OneVsRestClassifier"),
        (
            "multiclass",
            preprocessing.StandardScaler() | linear_model.LogisticRegression(),
            "multiclass.OneVsRestClassifier",
        ),
        (
            "binary",
            preprocessing.StandardScaler() | linear_model.LinearRegression(),
            "Classifier for the task 'binary'; got LinearRegression",
        ),
        ("binary", preprocessing.StandardScaler(), "got StandardScaler"),
        ("binary", object(), "got object"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_models_that_cannot(task: str, model: object, wanted: str) -> None:
    """A model of another kind is refused by its name, with what to use instead."""
    with pytest.raises(DefinitionError, match=r"^models\['own'\] must be a ") as caught:
        Task(task).check_model("own", model)
    assert wanted in str(caught.value)


@pytest.mark.parametrize("task", Task)
def test_is_pickled_by_value(task: Task) -> None:
    """Whatever the version of Python, a snapshot holds no call of `getattr`."""
    pickled = pickle.dumps(task)
    assert pickle.loads(pickled) is task
    assert b"getattr" not in pickled
