"""What answers where a call failed."""
