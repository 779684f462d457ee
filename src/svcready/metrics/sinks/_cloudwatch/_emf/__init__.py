"""The embedded metric format."""
