"""Policies: parts under one name."""
