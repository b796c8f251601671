"""Candidates: the models and baselines that predict every event side by side, and their metrics.

A `ModelSet` holds the candidates of one scope. The champion's predictions are published, and all
are measured (`evaluation`). After a drift, a challenger competes for a candidate's place
(`challenger`, and `millrace.models.selection`).
"""
