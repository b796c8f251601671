"""Leaves out of the doctests what runs under other interpreters, or as a process with a job."""

from __future__ import annotations

collect_ignore = ["subjects", "plot.py", "pipeline.py"]
