"""`python -m millrace.streams.cli` is `millrace`."""

from millrace.streams.cli import main

if __name__ == "__main__":
    main()
