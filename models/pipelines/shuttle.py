"""Sensor readings from a space shuttle: how odd is each? Anomaly scores, no label needed.

`millrace replay Shuttle` streams the data. The model learns without the labels; they are used to
evaluate it.
"""

from pathlib import Path

from millrace import Pipeline, catalogue

pipeline = Pipeline(
    name="shuttle",
    schema=Path(__file__).with_suffix(".avsc"),
    event_id="event_id",
    label="anomaly",
    task="anomaly",
    models={"half_space_trees": catalogue.half_space_trees},
)
