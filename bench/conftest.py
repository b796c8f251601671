"""Excludes from the doctests what runs in other interpreters or needs a job."""

from __future__ import annotations

collect_ignore = ["subjects", "plot.py", "pipeline.py"]
