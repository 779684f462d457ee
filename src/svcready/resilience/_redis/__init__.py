"""Redis: the preset of its policies."""
