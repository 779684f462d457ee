"""The operator's endpoints, free of any framework."""
