"""Kafka through librdkafka: client settings, topics, the embedded broker, the schema registry."""
