"""Requests that were not sampled, but are kept because they failed or were slow."""
