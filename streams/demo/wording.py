"""How numbers and records read, wherever the demo shows them."""

from __future__ import annotations

from millrace.schemas.records import Alert, Prediction


def percent(share: float | None) -> str:
    """Return a share as text of six characters.

    Examples
    --------
    >>> percent(0.9642), percent(1.0), percent(None)
    ('96.4 %', ' 100 %', '   - %')
    """
    if share is None:
        return "   - %"
    return " 100 %" if share >= 0.9995 else f"{100 * share:4.1f} %"


def milliseconds(seconds: float | None) -> str:
    """Return a latency as text.

    Examples
    --------
    >>> milliseconds(0.0123), milliseconds(1.5), milliseconds(None)
    ('12 ms', '1,500 ms', '-')
    """
    return "-" if seconds is None else f"{1000 * seconds:,.0f} ms"


def evidence(alert: Alert) -> str:
    """Return what a detector saw: the mean of its values before and after the change.

    Examples
    --------
    >>> evidence({"mean_before": 0.0412, "mean_after": 0.4871})
    '0.04 → 0.49'
    >>> evidence({"mean_before": 84321.5, "mean_after": 91200.0})
    '84,322 → 91,200'
    """
    return f"{_short(alert['mean_before'])} → {_short(alert['mean_after'])}"


def decision(prediction: Prediction) -> str:
    """Return what a prediction says of a loan, and how surely."""
    value = prediction["value"]
    probability = prediction["probabilities"].get(str(value))
    said = "undecided" if value is None else "granted" if value else "refused"
    return said if probability is None else f"{said} {percent(probability)}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
