"""Limits on inbound requests."""
