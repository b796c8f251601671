"""Models: what a pipeline is, and everything about its River models that needs no Kafka.

`pipeline` has the definition, how it is loaded and how it is inferred from a table; `features` what
a model sees of an event; `candidates` the models that compete and how they are scored; `selection`
how one of them is chosen; `monitoring` what watches for drift; `pipelines` the examples. This
package imports neither Faust nor Kafka, and reads neither a clock nor the environment.
"""
