"""The traces of a service: its spans, what is sampled and where they go."""
