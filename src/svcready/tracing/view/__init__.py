"""The trace view: recent spans kept in the process for people to see."""
