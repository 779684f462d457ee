"""Retries, and what pays for them."""
