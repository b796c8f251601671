"""Transformers in front of a model: whose feature each of their results is."""

import numbers

import pytest
from river import anomaly, compose, linear_model, preprocessing, stats

from millrace.models.reasons.family import NoExactReasonsError
from millrace.models.reasons.front import TRANSFORMERS, check, traced

X = {"size": 2.0, "colour": "red"}


def encoder(**options):
    made = preprocessing.OneHotEncoder(**options)
    for colour in ("red", "blue"):
        made.learn_one({"colour": colour})
    return made


def test_scalers_keep_names():
    """Then nothing needs to be mapped."""
    scaler = preprocessing.MinMaxScaler()
    scaler.learn_one({"size": 4.0})
    scaler.learn_one({"size": 0.0})
    assert traced([scaler], {"size": 2.0}) == ({"size": 0.5}, None)


def test_an_encoder_gives_all_its_columns_to_one_feature():
    """Those of texts that the event does not have, too, and of a text that is new."""
    x, origins = traced([encoder()], {"colour": "green"})
    assert x == {"colour_red": 0, "colour_blue": 0, "colour_green": 1}
    assert origins == dict.fromkeys(x, "colour")


def test_an_encoder_that_drops_zeros_or_the_first_is_known():
    """Its columns are fewer."""
    x, origins = traced([encoder(drop_zeros=True)], {"colour": "red"})
    assert (x, origins) == ({"colour_red": 1}, {"colour_red": "colour"})
    x, origins = traced([encoder(drop_first=True)], {"colour": "red"})
    assert x == {"colour_red": 1}
    assert origins["colour_red"] == "colour"


def test_an_encoder_of_given_categories_is_known():
    """And of several values at once."""
    made = preprocessing.OneHotEncoder(categories={"colour": {"red", "blue"}})
    x, origins = traced([made], {"colour": "red"})
    assert (x["colour_red"], origins["colour_blue"]) == (1, "colour")
    x, origins = traced([encoder()], {"colour": ["red", "green"]})
    assert (x["colour_green"], origins["colour_green"]) == (1, "colour")


def test_a_column_of_two_features_is_refused():
    """Nobody could say whose it is."""
    with pytest.raises(NoExactReasonsError, match="'a_b_c' may be a value of 'a_b' and of 'a'"):
        traced([preprocessing.OneHotEncoder()], {"a": "b_c", "a_b": "c"})


def test_names_are_followed_through_several_steps():
    """Prefixes, suffixes, other names and encoders, one after the other."""
    steps = [
        compose.Renamer({"colour": "c", "unknown": "u"}),
        compose.Prefixer("p_"),
        compose.SelectType(str) | compose.Suffixer("_s"),
        preprocessing.OneHotEncoder(drop_zeros=True),
    ]
    seen = X.copy()
    assert traced(steps, seen) == ({"p_c_s_red": 1}, {"p_c_s_red": "colour"})
    assert seen == X


def test_in_a_union_the_first_result_of_a_name_wins():
    """As in River."""
    union = compose.TransformerUnion(
        compose.SelectType(numbers.Number),
        compose.Select("colour") | compose.Renamer({"colour": "size"}),
        compose.Select("colour") | preprocessing.OneHotEncoder(drop_zeros=True),
    )
    x, origins = traced([union], X)
    assert x == union.transform_one(X) == {"size": 2.0, "colour_red": 1}
    assert origins == {"size": "size", "colour_red": "colour"}


def test_a_union_that_keeps_names_needs_no_mapping():
    """Parts that only select or scale."""
    union = compose.Select("size") + compose.Discard("size")
    x, origins = traced([union], X)
    assert (x, origins) == (X, None)


def test_imputers_keep_names():
    """What is filled in is the feature's."""
    imputer = preprocessing.StatImputer(("size", stats.Mean()))
    imputer.learn_one({"size": 4.0})
    assert traced([imputer], {"size": None}) == ({"size": 4.0}, None)


def test_an_anomaly_filter_does_nothing_to_a_prediction():
    """It decides what is learned."""
    filtering = anomaly.QuantileFilter(anomaly.HalfSpaceTrees(seed=1), q=0.9)
    check([filtering])
    assert traced([filtering], X) == (X, None)


def test_what_is_inside_a_pipeline_or_a_union_is_checked():
    """However deep."""
    inner = compose.Select("size") | preprocessing.Normalizer()
    with pytest.raises(NoExactReasonsError, match="what Normalizer makes of features"):
        check([compose.TransformerUnion(compose.Discard("size"), inner)])


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_known_transformers_keep_the_model_pure(kind):
    """Each one is a transformer of River or of ours: a model has no place here."""
    assert hasattr(kind, "transform_one")
    assert not issubclass(kind, linear_model.base.GLM)
