"""Modules whose import is the thing measured, each in a process of its own."""
