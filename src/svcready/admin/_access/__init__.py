"""Who may use the operator's surface, and what is put on record of it."""
