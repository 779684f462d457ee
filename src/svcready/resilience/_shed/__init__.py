"""Load shedding of inbound requests."""
