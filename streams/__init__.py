"""Millrace's streams: operators, the engine that runs them on Kafka, and the command line.

Importing any module connects to nothing and starts nothing; `streams.app.create_app` is the one
place where everything is put together.
"""
