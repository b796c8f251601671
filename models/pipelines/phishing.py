"""Web pages, phishing or not: two classes. `millrace replay Phishing` streams the data."""

from pathlib import Path

from millrace import Pipeline, catalogue

pipeline = Pipeline(
    name="phishing",
    schema=Path(__file__).with_suffix(".avsc"),
    event_id="event_id",
    label="is_phishing",
    task="binary",
    models={
        "logistic_regression": catalogue.logistic_regression,
        "hoeffding_tree": catalogue.hoeffding_tree,
    },
)
