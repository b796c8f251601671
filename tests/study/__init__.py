"""How often a comparison errs, and how long it takes: `make study` runs it in full.

`streams` makes events and says when their labels come, `pairs` makes models that are equal in law,
and others of which one is better by so much. `runs` folds them as a worker does, and `__main__`
prints a table.
"""
