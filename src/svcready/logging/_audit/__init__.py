"""What the audit log is made of: entries, their chain, and where they go."""
