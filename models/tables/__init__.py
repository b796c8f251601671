"""Tables: rows as events, and pipelines that are inferred from them.

`rows` reads a file and makes events of its rows, `datasets` has the tables that come with River,
and `inference` writes a definition and a schema for a table that has none.
"""
