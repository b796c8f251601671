"""Everything that runs: the operators, the engine that feeds them from Kafka, the command line.

`app.create_app` is the one place where everything is put together. Importing a module connects to
nothing and starts nothing. Where to look:

- `operators` what happens to a record; `topology` which operators share an agent, and the topics
- `sources` what users' records look like; `formats` how outputs are written
- `runtime` batches, commits and rebalances; `state` what is saved, and how it is signed
- `kafka` clients, topics, reading; `observability` metrics and logs; `settings`
- `app`, `agents`, `api`, `worker` a worker's process, its Faust agents and its pages
- `serve` a pipeline over HTTP, and `client`, which uses it
- `replay`, `tools`, `demo`, `cli` what people run
"""
