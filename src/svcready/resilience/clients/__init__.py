"""Policies around the requests of HTTP clients: a module for each library."""
