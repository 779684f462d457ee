"""Metrics over OTLP."""
