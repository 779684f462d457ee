"""Further places for lines, each with a queue and a thread of its own."""
