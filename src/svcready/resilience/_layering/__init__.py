"""How the parts of a policy enclose a function."""
