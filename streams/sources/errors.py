"""What goes wrong in code of the user's own that belongs to a source."""

from __future__ import annotations


class SourceError(Exception):
    """The code of a source raised an error.

    Parameters
    ----------
    raised
        What it raised.
    """

    def __init__(self, raised: BaseException) -> None:
        super().__init__("the code of a source raised an error")
        self.raised = raised
