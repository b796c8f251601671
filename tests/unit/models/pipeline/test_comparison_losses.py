"""The losses by which candidates are compared: what they are, and that columns say the same."""

from __future__ import annotations

import functools
from math import inf, isclose, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.models.pipeline.comparison_losses import LOSSES, comparison_loss, own_loss
from millrace.models.pipeline.labels import Labels
from millrace.models.pipeline.tasks import Task
from millrace.schemas import DefinitionError, EventSchema
from millrace.schemas.records import Predicted

SCHEMA = EventSchema(
    {"type": "record", "name": "Fruit", "fields": [{"name": "id", "type": "string"}]}
)
CLASSES = ["apple", "pear", "plum"]
TWO = {("apple", "pear"): 4.0, ("pear", "apple"): 1.0}


def labels_of(task: Task, classes=None, schema: EventSchema = SCHEMA) -> Labels:
    """Return which labels there are."""
    if task is Task.MULTICLASS and classes is None and schema.label is None:
        classes = CLASSES
    return Labels(task, schema, classes)


def made(metric, task: Task, classes=None):
    """Return a loss as a definition asks for it."""
    return comparison_loss(metric, task, labels_of(task, classes))


def lost(metric, task: Task, label, value, probabilities=None) -> float | None:
    """Return the loss of one prediction, which the column must have, too."""
    loss = made(metric, task)
    found = loss.of(label, Predicted(value=value, probabilities=probabilities or {}))
    assert loss.column([label], [value], [probabilities or {}]) == [found]
    return found


def half(label, value, probabilities):
    """Return half of what a value is worth that is wrong, and more where it was believed in."""
    return 0.5 * (label != value) + 0.5 * probabilities[str(value)]


class TestNamed:
    @pytest.mark.parametrize(
        ("task", "name"),
        [
            (Task.BINARY, "zero_one"),
            (Task.MULTICLASS, "zero_one"),
            (Task.REGRESSION, "absolute_error"),
            (Task.ANOMALY, "absolute_error"),
        ],
    )
    def test_a_task_has_a_loss_of_its_own(self, task, name):
        """It is the one of its name, and what a definition has that names none."""
        assert own_loss(task) is made(None, task) is made(name, task)
        assert own_loss(task).is_own
        assert not own_loss(task).needs_probabilities

    @pytest.mark.parametrize(
        ("metric", "task", "expected"),
        [
            ("briar", Task.BINARY, "'zero_one', 'log_loss', 'brier' for the task 'binary', costs"),
            ("brier", Task.REGRESSION, "'absolute_error', 'squared_error' for the task"),
            ("brier", Task.ANOMALY, "'absolute_error' for the task 'anomaly', or a function"),
        ],
    )
    def test_others_are_refused(self, metric, task, expected):
        """With those that fit the task, and the one that was perhaps meant."""
        with pytest.raises(DefinitionError, match=rf"^promotion\.metric must be one of {expected}"):
            made(metric, task)
        with pytest.raises(DefinitionError, match="Did you mean 'brier'"):
            made("briar", Task.MULTICLASS)

    @pytest.mark.parametrize("metric", [3, 0.5, True, ["zero_one"], b"brier", ""])
    def test_what_is_no_loss_is_refused(self, metric):
        """Whatever it is."""
        with pytest.raises(DefinitionError, match=r"^promotion\.metric must be one of"):
            made(metric, Task.BINARY)

    @pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.name}-{min(loss.tasks)}")
    def test_each_has_its_best_and_worst(self, loss):
        """0, or nearly so, where all is right; 1 where it is wrong, if there is a largest loss."""
        for task in sorted(loss.tasks):
            right, wrong = {
                Task.BINARY: ((True, True, {"False": 0.0, "True": 1.0}), (False, True)),
                Task.MULTICLASS: (("pear", "pear", {"pear": 1.0}), ("plum", "pear")),
                Task.REGRESSION: ((2.0, 2.0, {}), (2.0, 5.0)),
                Task.ANOMALY: ((True, 1.0, {}), (False, 1.0)),
            }[task]
            assert 0.0 <= loss.one(*right) < 0.01
            worst = loss.one(*wrong, right[2])
            assert worst == 1.0 if loss.is_bounded else worst >= 3.0


class TestByHand:
    @pytest.mark.parametrize(
        ("metric", "task", "label", "value", "expected"),
        [
            ("zero_one", Task.BINARY, True, True, 0.0),
            ("zero_one", Task.MULTICLASS, "pear", "plum", 1.0),
            ("absolute_error", Task.REGRESSION, 2.0, 5.5, 3.5),
            ("absolute_error", Task.ANOMALY, True, 0.75, 0.25),
            ("absolute_error", Task.ANOMALY, False, 17.0, 1.0),
            ("squared_error", Task.REGRESSION, 2.0, 5.5, 12.25),
            ("squared_error", Task.REGRESSION, 2, -1, 9.0),
            ("squared_error", Task.REGRESSION, 0.0, 1e200, None),
            ("absolute_error", Task.REGRESSION, -1.7e308, 1.7e308, None),
            ("brier", Task.BINARY, True, None, None),
        ],
    )
    def test_errors(self, metric, task, label, value, expected):
        """Of classes, numbers and scores; none where there is no prediction, or it is too large."""
        assert lost(metric, task, label, value) == expected

    @pytest.mark.parametrize(
        ("label", "probabilities", "given_to_label"),
        [
            (True, {"False": 0.3, "True": 0.7}, 0.7),
            (False, {"False": 0.3, "True": 0.7}, 0.3),
            (True, {"True": 0.7}, 0.7),
            (False, {"True": 0.7}, 0.3),
            (False, {"False": 1.0}, 1.0),
            (True, {"False": 1.0}, 0.0),
            (True, {}, 1.0),
            (False, {}, 0.0),
            (True, {"False": 2.0, "True": 6.0}, 0.75),
            (True, {"False": 1.0, "True": 1.0}, 0.5),
            (True, {"False": -1.0, "True": 0.8}, 0.8),
            (False, {"False": nan, "True": 0.8}, 0.0),
            (True, {"False": inf, "True": inf}, 0.5),
            (True, {"False": 1e308, "True": 1e308}, 0.5),
            (True, {"False": 0.0, "True": 0.0}, 1.0),
            (True, {"1": 0.5, "0": 0.5}, 1.0),
            (True, {"False": 0.2, "True": 0.2, "None": 0.6}, 0.2),
        ],
    )
    def test_probabilities_of_two_classes(self, label, probabilities, given_to_label):
        """The value is true. What is no distribution wins nothing, and none is certainty."""
        squared = lost("brier", Task.BINARY, label, True, probabilities)
        assert squared == pytest.approx((1.0 - given_to_label) ** 2)
        share = min(max(given_to_label, 0.01), 0.99)
        in_nats = lost("log_loss", Task.BINARY, label, True, probabilities)
        assert in_nats * made("log_loss", Task.BINARY).scale == pytest.approx(-log(share))

    @pytest.mark.parametrize(
        ("label", "probabilities", "given_to_label", "squares"),
        [
            ("apple", {"apple": 0.5, "pear": 0.3, "plum": 0.2}, 0.5, 0.25 + 0.09 + 0.04),
            ("plum", {"apple": 0.5, "pear": 0.5}, 0.0, 1.0 + 0.25 + 0.25),
            ("apple", {"apple": 0.5}, 0.5, 0.25),
            ("plum", {"apple": 1.0, "pear": 1.0, "plum": 2.0}, 0.5, 0.25 + 2 * 0.0625),
            ("apple", {}, 1.0, 0.0),
            ("plum", {}, 0.0, 2.0),
            ("plum", {"apple": -0.1, "pear": nan, "plum": 0.6}, 0.6, 0.16),
            ("apple", {"apple": 0.0, "pear": 0.0}, 1.0, 0.0),
            ("apple", {"apple": 1e308, "pear": 1e308}, 0.5, 0.5),
        ],
    )
    def test_probabilities_of_many_classes(self, label, probabilities, given_to_label, squares):
        """The value is apple. A class that is not named has none."""
        brier = lost("brier", Task.MULTICLASS, label, "apple", probabilities)
        assert brier * made("brier", Task.MULTICLASS).scale == pytest.approx(squares)
        share = min(max(given_to_label, 0.001), 0.999)
        in_nats = lost("log_loss", Task.MULTICLASS, label, "apple", probabilities)
        assert in_nats * made("log_loss", Task.MULTICLASS).scale == pytest.approx(-log(share))

    @pytest.mark.parametrize(("label", "value"), [(7, 7), (7, 11), (False, True)])
    def test_classes_are_known_by_their_text(self, label, value):
        """Numbers and booleans, too."""
        found = made("brier", Task.MULTICLASS).column([label], [value], [{str(value): 1.0}])
        assert found == [float(label != value)]

    def test_brier_is_the_same_of_two_and_of_many(self):
        """Where the classes are two."""
        probabilities = {"False": 0.4, "True": 0.6}
        of_two = lost("brier", Task.BINARY, True, True, probabilities)
        of_many = made("brier", Task.MULTICLASS).column([True], [True], [probabilities])
        assert of_many == [pytest.approx(of_two)] == [pytest.approx(0.16)]

    def test_nobody_gains_by_saying_less_than_is_clipped(self):
        """At a rate below it, each lower probability is as good as the truth, and none better."""
        rate = 0.004

        def expected(said: float) -> float:
            probabilities = {"False": 1.0 - said, "True": said}
            of_true, of_false = (
                lost("log_loss", Task.BINARY, label, False, probabilities)
                for label in (True, False)
            )
            return rate * of_true + (1.0 - rate) * of_false

        assert expected(0.0) == expected(rate) == expected(0.01) < expected(0.02)


class TestCosts:
    def test_a_mistake_costs_what_was_said(self):
        """As a share of the largest cost."""
        loss = made(TWO, Task.MULTICLASS, ["apple", "pear"])
        assert (loss.name, loss.scale, loss.needs_probabilities) == ("costs", 4.0, False)
        labels = ["apple", "pear", "apple", "apple"]
        assert loss.column(labels, ["pear", "apple", "apple", None]) == [1.0, 0.25, 0.0, None]

    def test_what_is_not_given_is_the_largest(self):
        """With more than two classes, and for classes that nobody knew of."""
        loss = made(TWO, Task.MULTICLASS)
        values = ["plum", "plum", "apple", "fig"]
        assert loss.column(["pear", "plum", "apple", "kiwi"], values) == [1.0, 0.0, 0.0, 1.0]

    def test_right_predictions_may_cost(self):
        """If that is said."""
        loss = made(TWO | {("apple", "apple"): 2.0}, Task.MULTICLASS)
        assert loss.column(["apple", "pear"], ["apple", "pear"]) == [0.5, 0.0]

    @pytest.mark.parametrize(
        "costs", [{(1, 0): 5, (0, 1): 1}, {(True, False): 5, (False, True): 1}]
    )
    def test_true_and_false_may_be_numbers(self, costs):
        """As labels may be."""
        loss = made(costs, Task.BINARY)
        assert loss.column([True, False], [False, True]) == [1.0, 0.2]

    @pytest.mark.parametrize(
        ("task", "costs", "message"),
        [
            (
                Task.REGRESSION,
                {(1, 0): 1.0},
                "costs only where classes are predicted",
            ),
            (Task.ANOMALY, {(True, False): 1.0}, "costs only where classes are predicted"),
            (Task.BINARY, {(True, False): 1.0}, r"a cost of \[\(False, True\)\], too"),
            (Task.BINARY, {("yes", "no"): 1.0}, "costs of classes that labels may have; got 'yes'"),
            (Task.MULTICLASS, {("fig", "pear"): 1.0}, "labels may have; got 'fig'"),
            (Task.MULTICLASS, {("pear", 3): 1.0}, "labels may have; got 3"),
            (Task.MULTICLASS, {}, "costs of pairs"),
        ],
    )
    def test_costs_that_do_not_fit_are_refused(self, task, costs, message):
        """What they must fit is the task and its classes."""
        with pytest.raises(DefinitionError, match=rf"^promotion\.metric must have .*{message}"):
            made(costs, task)

    def test_classes_may_show_later(self):
        """Costs may name any of the type that labels have, where no classes are listed."""
        fields = [{"name": "id", "type": "string"}, {"name": "y", "type": "string"}]
        schema = EventSchema({"type": "record", "name": "Fruit", "fields": fields}, "y")
        labels = labels_of(Task.MULTICLASS, schema=schema)
        loss = comparison_loss({("fig", "date"): 2.0}, Task.MULTICLASS, labels)
        assert loss.column(["fig"], ["date"]) == [1.0]
        with pytest.raises(DefinitionError, match="labels may have; got 3"):
            comparison_loss({("fig", 3): 2.0}, Task.MULTICLASS, labels)

    @pytest.mark.parametrize(("others", "is_whole"), [(4.0, True), (0.0, True), (1.0, False)])
    def test_equal_costs_are_whole(self, others, is_whole):
        """Sums of 0 and 1 are exact in any order."""
        assert made(TWO | {("pear", "apple"): others}, Task.MULTICLASS).is_whole is is_whole


class TestFunctions:
    def test_it_gets_label_value_and_probabilities(self):
        """Of each event; where there is no prediction, it is not called."""
        loss = made(half, Task.BINARY)
        assert (loss.name, loss.needs_probabilities, loss.is_bounded) == ("half()", True, True)
        given = [{"False": 0.25, "True": 0.75}, {}, {}]
        assert loss.column([True, False, True], [True, True, None], given) == [0.375, 1.0, None]

    @pytest.mark.parametrize(
        ("task", "label", "value", "probabilities", "seen"),
        [
            (Task.BINARY, True, True, {"True": 0.75}, {"False": 0.25, "True": 0.75}),
            (Task.BINARY, True, False, {"False": 0.75}, {"False": 0.75, "True": 0.25}),
            (Task.BINARY, True, False, {}, {"False": 1.0, "True": 0.0}),
            (Task.BINARY, True, True, {"1": 1.0}, {"False": 0.0, "True": 1.0}),
            (Task.MULTICLASS, "pear", "plum", {}, {"pear": 0.0, "plum": 1.0}),
            (Task.MULTICLASS, "plum", "plum", {}, {"plum": 1.0}),
            (Task.MULTICLASS, "pear", "plum", {"plum": 0.9}, {"pear": 0.0, "plum": 0.9}),
            (Task.REGRESSION, 1.5, 2.0, {}, {}),
            (Task.ANOMALY, True, 0.5, {}, {}),
        ],
    )
    def test_the_label_always_has_a_probability(self, task, label, value, probabilities, seen):
        """Both of two classes do; who gives none is certain of its value."""
        calls = []

        def remembers(*given):
            calls.append(given)
            return 0

        loss = made(remembers, task)
        assert loss.column([label], [value], [probabilities]) == [0.0]
        assert calls[-1] == (label, value, seen)

    def test_it_cannot_change_what_was_predicted(self):
        """It gets a copy."""

        def empties(label, value, probabilities):
            probabilities.clear()
            return 0.0

        given = {"False": 0.5, "True": 0.5}
        made(empties, Task.BINARY).column([True], [True], [given])
        assert len(given) == 2

    @pytest.mark.parametrize("returned", [True, 1, 0.5, 0, False])
    def test_numbers_from_0_to_1_are_losses(self, returned):
        """As floats."""
        found = made(lambda *_: returned, Task.REGRESSION).column([1.0], [2.0])
        assert found == [float(returned)]
        assert type(found[0]) is float

    @pytest.mark.parametrize("returned", [None, nan, -0.1, 1.5, inf, "0.5", [], 10**30])
    def test_anything_else_is_a_failure(self, returned):
        """Of that event alone; the first of several candidates counts."""
        answers = {1.0: 0.25, 99.0: returned}
        loss = made(lambda label, *_: answers.get(label, 0.0), Task.REGRESSION)
        failures = {}
        assert loss.column([1.0, 99.0], [0.0, 0.0], None, failures) == [0.25, None]
        assert [*failures] == [1]
        first = failures[1]
        loss.column([1.0, 99.0], [3.0, 3.0], None, failures)
        assert failures == {1: first}

    def test_what_it_raises_is_a_failure(self):
        """Whatever it is, but for what ends the process or the batch."""

        def raises(label, *_):
            if label > 100:
                raise {101.0: SystemExit, 102.0: KeyError, 103.0: MemoryError}[label]
            return 0.0

        loss = made(raises, Task.REGRESSION)
        failures = {}
        assert loss.column([101.0, 1.0, 102.0], [0.0] * 3, None, failures) == [None, 0.0, None]
        assert {at: type(each) for at, each in failures.items()} == {0: SystemExit, 2: KeyError}
        assert loss.column([101.0], [0.0]) == [None]
        with pytest.raises(MemoryError):
            loss.column([103.0], [0.0])

    @pytest.mark.parametrize(
        ("metric", "message"),
        [
            (lambda label, value: 0.0, "must take three arguments"),
            (lambda *_: 2.0, r"must return a number in \[0, 1\] .*; called with 1.5, 2.0 and \{\}"),
            (lambda *_: 1 / 0, "raised ZeroDivisionError"),
            (lambda label, value, _: abs(label - value), "must return a number"),
        ],
    )
    def test_it_is_tried(self, metric, message):
        """As the definition is made."""
        with pytest.raises(DefinitionError, match=message):
            made(metric, Task.REGRESSION)

    def test_it_must_not_be_async(self):
        """Nothing would wait for it."""

        async def waits(label, value, probabilities):
            return 0.0

        with pytest.raises(DefinitionError, match="not `async`"):
            made(waits, Task.BINARY)

    def test_it_is_not_tried_with_classes_that_nobody_knows(self):
        """It may be of those that come alone."""
        fields = [{"name": "id", "type": "string"}, {"name": "y", "type": "string"}]
        schema = EventSchema({"type": "record", "name": "Fruit", "fields": fields}, "y")
        labels = labels_of(Task.MULTICLASS, schema=schema)
        weights = {"fig": 0.5}
        loss = comparison_loss(lambda label, *_: weights[label], Task.MULTICLASS, labels)
        assert loss.column(["fig", "date"], ["date", "fig"]) == [0.5, None]

    @pytest.mark.parametrize(
        ("metric", "name"), [(functools.partial(half), "partial"), (max, "max")]
    )
    def test_other_callables_have_names(self, metric, name):
        """That of their class, where they have none."""
        if metric is max:
            metric = type("Weighs", (), {"__call__": lambda self, *_: 0.5})()
            name = "Weighs"
        assert made(metric, Task.BINARY).name == f"{name}()"


PROBABILITY = st.one_of(
    st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0, 0.5, -0.5, 3.0, nan, inf, 1e308, 5e-324])
)
ODD = st.dictionaries(st.sampled_from(["True", "False", "apple", "pear", "7", "x"]), PROBABILITY)


@st.composite
def proper(draw, names):
    """Draw what a model should give: numbers from 0 that sum to 1."""
    weights = draw(st.lists(st.floats(0.01, 1.0), min_size=len(names), max_size=len(names)))
    total = sum(weights)
    return {name: each / total for name, each in zip(names, weights, strict=True)}


def rows(task: Task):
    """Return a strategy for events, and what was predicted for each."""
    if task is Task.BINARY:
        labels, names = st.booleans(), ["False", "True"]
    elif task is Task.MULTICLASS:
        labels, names = st.sampled_from(CLASSES), CLASSES
    else:
        labels = st.floats(allow_nan=False, allow_infinity=False)
        if task is Task.ANOMALY:
            return st.tuples(st.booleans(), st.one_of(st.none(), labels), st.just({}))
        return st.tuples(labels, st.one_of(st.none(), labels), st.just({}))
    values = st.one_of(st.none(), labels)
    given_ = st.one_of(st.just({}), proper(names), ODD)
    return st.tuples(labels, values, given_)


ALL = [(loss.name, task) for loss in LOSSES for task in sorted(loss.tasks)]
ALL += [
    ({("apple", "plum"): 2.0, ("plum", "apple"): 1.0}, Task.MULTICLASS),
    ({(True, False): 5.0, (False, True): 1.0}, Task.BINARY),
    (half, Task.BINARY),
    (half, Task.MULTICLASS),
]


@pytest.mark.parametrize(("metric", "task"), ALL)
@pytest.mark.parametrize("is_proper", [True, False])
@given(data=st.data())
def test_a_column_has_the_loss_of_each_event(metric, task, is_proper, data):
    """To the last bit, whatever was predicted; in [0, 1] where it is bounded, and in one order."""
    drawn = data.draw(st.lists(rows(task), max_size=12))
    if is_proper and task.is_classification:
        names = ["False", "True"] if task is Task.BINARY else CLASSES
        drawn = [(label, value, data.draw(proper(names))) for label, value, _ in drawn]
    loss = made(metric, task)
    failures: dict[int, BaseException] = {}
    columns = [[each[at] for each in drawn] for at in range(3)]
    found = loss.column(*columns, failures)
    expected = []
    for place, (label, value, probabilities) in enumerate(drawn):
        try:
            predicted = Predicted(value=value, probabilities=probabilities)
            expected.append(loss.of(label, predicted))
            assert place not in failures
        except (ValueError, KeyError):
            expected.append(None)
            assert place in failures
    assert found == expected
    assert all(each is None or each >= 0.0 for each in found)
    if loss.is_bounded:
        assert all(each is None or each <= 1.0 for each in found)
        is_there = [value is not None for _, value, _ in drawn]
        if not failures:
            assert [each is not None for each in found] == is_there
    if loss.is_whole:
        assert {*found} <= {None, 0.0, 1.0}


@given(data=st.data())
def test_proper_scores_agree_with_their_definitions(data):
    """By sums over all classes, as textbooks have them."""
    drawn = data.draw(st.lists(rows(Task.MULTICLASS), min_size=1, max_size=6))
    for label, _, _ in drawn:
        given_ = data.draw(proper(CLASSES))
        brier = sum([((name == label) - each) ** 2 for name, each in given_.items()]) / 2
        assert isclose(lost("brier", Task.MULTICLASS, label, "pear", given_), brier, abs_tol=1e-12)
        in_nats = -log(min(max(given_[label], 0.001), 0.999)) / -log(0.001)
        assert isclose(lost("log_loss", Task.MULTICLASS, label, "pear", given_), in_nats)
