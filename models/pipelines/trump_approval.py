"""An approval rating, predicted from those of five pollsters: a number.

`millrace replay TrumpApproval` streams the data. The rating changes slowly, so that the last value
is hard to beat.
"""

from pathlib import Path

from millrace import Pipeline, catalogue

pipeline = Pipeline(
    name="trump_approval",
    schema=Path(__file__).with_suffix(".avsc"),
    event_id="event_id",
    label="five_thirty_eight",
    task="regression",
    models={
        "hoeffding_tree": catalogue.hoeffding_tree_regressor,
        "linear_regression": catalogue.linear_regression,
    },
)
