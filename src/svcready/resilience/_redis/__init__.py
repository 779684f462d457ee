"""Redis: what its errors mean, and the preset of its policies."""
