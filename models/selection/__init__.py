"""Selection: when a challenger takes the place of a candidate.

Two models that are equal are never equal on the events at hand: whoever looks often enough finds
the one or the other ahead, and would switch for ever. So a challenger has to show that it is
better, by a test that may be looked at after every event, for as long as one likes, and that errs
with a probability of at most alpha in all that time. `e_process` has its mathematics: the e-value,
a number that stays below 1/alpha with a probability of 1 - alpha where the challenger is no
better. `evidence` is what is known of one challenger, and `alpha_spending` divides alpha between
challengers, and between tests that begin anew. `contest` and `promoter` decide which candidate
serves, and `trial` whether a fresh model takes the place of a candidate.
"""
