"""CloudWatch: what its metrics are made of, and the sinks that send them."""
