"""The logs of a service: one JSON object a line, whoever wrote it."""
