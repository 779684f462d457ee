"""The health of a service: background checks, and endpoints that only read."""
