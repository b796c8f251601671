"""Certainty: an interval around a predicted number, and a set of classes, that hold so often.

A model says what it predicts, and not how far it may be off. Conformal prediction finds that out
from the labels: a score says how wrong a prediction was, and a threshold is moved so that nine of
ten scores, say, are not above it. All labels whose score would not be above the threshold are then
the interval, or the set. Nothing is assumed of the model or of the data; where either changes, the
threshold follows.

`conformal` is the definition. `scores` says how wrong a prediction was. `sf_ogd` and `pi` move the
threshold. `regions` makes intervals and sets of it, and says why there is none; `coverage` counts
how often they held.

What a score is compared with is written down when a prediction is made: the threshold that was
served. A fold gives scores and thresholds back in the order of the events, in blocks, as the
evidence for promotion is; in the order of the labels, those that are known early would count first.
"""
