"""Pipelines to start from, one for each task; each is a file that a user could have written."""
