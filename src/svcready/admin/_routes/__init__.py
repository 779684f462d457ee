"""What each of the operator's paths answers."""
