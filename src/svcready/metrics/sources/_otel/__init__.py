"""What libraries record through OpenTelemetry's meters."""
