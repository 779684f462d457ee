"""How lines reach standard output: never waiting, never torn, every loss counted."""
