"""Which traces are recorded: rules, their sources and their decisions."""
