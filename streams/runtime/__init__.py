"""What runs an agent on Kafka, and carries the guarantee that every record counts exactly once.

An `engine` asks its `session` for a batch, folds it through the tasks of its partitions, and
commits outputs, input offsets and state together. A session is one connection: an `inbox` (the
consumer, with its `lag`), an `outbox` (the producer), and an `assignment` for each partition (the
task, and its place in the log). On a rebalance the session commits and lets go of its partitions,
and `takeover` makes the tasks of new ones: the previous owner is fenced, the state read back. After
an error the session is closed without a commit, and the next one begins from the last commit.

`assembly` puts all of it together; `batching` says how large a batch is.
"""
