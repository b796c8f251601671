"""`python -m millrace.streams.cli` is `millrace`."""

from millrace.streams.cli import main

main()
