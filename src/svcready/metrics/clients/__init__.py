"""Metrics of client libraries: databases, message brokers and AWS."""
