"""Models: what a pipeline is, and everything about its River models that needs no Kafka.

`pipeline` has the definition and how it is loaded; `features` what a model sees of an event;
`candidates` the models that compete and how they are scored; `selection` how one of them is chosen;
`monitoring` what watches for drift; `tables` how rows become events and a table a pipeline;
`pipelines` the examples. This package imports neither Faust nor Kafka, and reads neither a clock
nor the environment.
"""
