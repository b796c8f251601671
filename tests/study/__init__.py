"""How often a comparison errs, how long it takes, and what it costs: `make study` runs it in full.

`streams` makes events and says when their labels come, `pairs` makes models that are equal in law,
and others of which one is better by so much; `runs` folds them as a worker does. `real` has streams
of others, and `rhythm` a challenger that is better for a part of each day; `served` tells what was
lost as served. `parts` counts, `__main__` prints, `plot` draws.

`certainty` is a study of its own: how often intervals and sets hold. `residuals` has the scores of
River models, and `rivals` the published methods.
"""
