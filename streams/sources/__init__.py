"""Sources: what users' own topics look like, and how their bytes become records."""
