"""The life of the process: its states, what holds its start, what breaks it."""
