"""How telemetry leaves the process."""
