"""The operator's port as a runtime has it, and what it answers for all workers."""
