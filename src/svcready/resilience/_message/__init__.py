"""Message brokers: what their errors mean."""
