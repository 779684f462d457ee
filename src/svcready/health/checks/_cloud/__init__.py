"""Checks of what AWS runs: queues, tables, buckets, secrets."""
