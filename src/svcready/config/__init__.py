"""Configuration: typed settings, where each came from, and every problem at once."""
