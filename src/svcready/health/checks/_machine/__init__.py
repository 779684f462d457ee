"""Checks of the machine and of the process itself."""
