"""Databases: what their errors mean, and statements that end with the deadline."""
