"""Reasons: what each feature adds to a prediction, exactly.

A prediction is taken apart into a base and one number for each feature, on a scale that is stated,
so that they add up to what was predicted. This is done only where the model itself adds up over
features, or moves from value to value at splits: nothing is sampled or estimated, and nothing is
learned. Models of which that cannot be said have "no exact reasons".

`explainer` is asked for a model and a task, before the model has learned anything; its `explain`
for the features of an event and what was predicted of them. `reasons` has what comes back;
`registry` the families of models that are known, each in a module of its own with its formula;
`front` the transformers that may stand before them; `shortcuts` a faster way for linear models.

These are contributions of features to the number that one model computed. They are no Shapley
values: those average over all orders in which features could become known (Lundberg and Lee, A
unified approach to interpreting model predictions, 2017), and cost many times as much.
For linear models, with features taken as independent, the two are the same. For trees they differ:
a change is credited where it happens on the path, and a split near the leaf may get more than one
near the root, or less (Lundberg, Erion and Lee, Consistent individualized feature attribution for
tree ensembles, 2018).
"""
