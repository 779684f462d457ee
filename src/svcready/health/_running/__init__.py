"""How checks run: when, where, for how long, and what is known of each."""
