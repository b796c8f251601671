"""Kafka through librdkafka.

`protocols` says what a client must be able to do; `clients` makes real ones from the settings,
`fakes` others in memory. On them: `admin` (topics), `reading` (a topic to its end, or as it grows),
`delivery` and `transactions` (writing), `callbacks`, `stall` and `bounded` (what librdkafka leaves
to its user), `embedded` (a broker in this process), `registry` (schemas).
"""
