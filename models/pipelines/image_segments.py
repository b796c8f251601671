"""Patches of photographs, sky or grass or five others: many classes.

`millrace replay ImageSegments` streams the data. Logistic regression has only two classes, so that
one is trained for each class, against the rest.
"""

from pathlib import Path

from millrace import Pipeline, catalogue

pipeline = Pipeline(
    name="image_segments",
    schema=Path(__file__).with_suffix(".avsc"),
    event_id="event_id",
    label="category",
    task="multiclass",
    classes=["brickface", "cement", "foliage", "grass", "path", "sky", "window"],
    models={
        "gaussian_naive_bayes": catalogue.gaussian_naive_bayes,
        "hoeffding_tree": catalogue.hoeffding_tree,
        "logistic_regression": catalogue.factory("logistic_regression", "multiclass"),
    },
)
