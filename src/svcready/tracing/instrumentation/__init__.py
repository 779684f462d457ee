"""Clients, databases and brokers traced by OpenTelemetry's own instrumentation."""
