"""Processes that live and serve nobody: found out, and told."""
