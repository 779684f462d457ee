"""What admits only so many calls, or so often."""
