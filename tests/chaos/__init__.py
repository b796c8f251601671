"""The proof of exactly-once learning: faults of every kind, and a check from outside.

A load of events and labels runs through several workers on a real Kafka, while workers are
killed, paused, added and removed and the broker is restarted, at moments that a seed decides.
Afterwards the log is folded once more, in one process and without Kafka. Whatever the topics
and the saved state hold must be what that fold gives: a model is a fold of its log.

`pipeline` is what runs, `versions` what it is changed to, `load` what is produced, `commander` who
sends commands and deploys, `fleet` the workers, `watch` what a consumer sees meanwhile, `faults`
what goes wrong. `checks`, `audited` and `covered` compare, with `fold`, `lifecycle`, `trail`,
`likeness` and `topics` to help them; `runner` joins them, and `python -m tests.chaos` runs it.
`broken` holds workers that are wrong on purpose, to show that the checks see it; `hesitant` has
some that wait before they commit, so that a kill hits there.
"""
