"""What resilience libraries do where it matters, found out by running them."""
