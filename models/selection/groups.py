"""Where candidates win and lose: their evidence by groups of events.

A candidate that is better on average may be worse for some: for one country, one key. That decides
nothing; it is there to be seen.
"""

from __future__ import annotations

from millrace.models.selection.evidence import Evidence
from millrace.schemas.records import Evaluation

MOST_GROUPS = 10_000


class Groups:
    """The evidence of each candidate by groups, since the champion serves.

    Attributes
    ----------
    evidence
        Group to candidate to its evidence of being better than its rival.
    left_out
        Labelled events of groups beyond the first `MOST_GROUPS`.

    Examples
    --------
    >>> groups = Groups()
    >>> losses = {"events": 40, "difference": 4.0, "squared_difference": 12.0}
    >>> block = {"champion": "tree", "groups": {"DE": {"bayes": losses}}}
    >>> groups.add(block)
    >>> groups.add(block)
    >>> groups.evidence["DE"]["bayes"].n, groups.evidence["DE"]["bayes"].mean
    (80, 0.1)
    """

    def __init__(self) -> None:
        self.evidence: dict[str, dict[str, Evidence]] = {}
        self.left_out = 0
        self._champion = ""

    def add(self, block: Evaluation) -> None:
        """Take the next block of the champion that serves."""
        if block["champion"] != self._champion:
            self.evidence, self.left_out, self._champion = {}, 0, block["champion"]
        for group, candidates in block["groups"].items():
            if group not in self.evidence and len(self.evidence) >= MOST_GROUPS:
                self.left_out += max(each["events"] for each in candidates.values())
                continue
            known = self.evidence.setdefault(group, {})
            for name, losses in candidates.items():
                sums = losses["events"], losses["difference"], losses["squared_difference"]
                known.setdefault(name, Evidence()).add(*sums)
