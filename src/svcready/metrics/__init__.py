"""The metrics of a service: instruments, registry, and the sinks that render them."""
