"""Checks of Redis, RabbitMQ and Kafka."""
