"""What topics are called: in Millrace without the pipeline's prefix, on the broker in full.

A topic of the user's own has no prefix: here its name begins with `@`, which no topic's may.
"""

from __future__ import annotations

_FOREIGN = "@"


def full_name(prefix: str, topic: str) -> str:
    """Return what the broker calls a topic.

    Examples
    --------
    >>> full_name("fraud.", "events"), full_name("fraud.", "@payments")
    ('fraud.events', 'payments')
    """
    return topic[1:] if topic.startswith(_FOREIGN) else prefix + topic


def short_name(prefix: str, topic: str) -> str:
    """Return what a topic is called here.

    Examples
    --------
    >>> short_name("fraud.", "fraud.events"), short_name("fraud.", "payments")
    ('events', '@payments')
    """
    return topic.removeprefix(prefix) if topic.startswith(prefix) else _FOREIGN + topic
