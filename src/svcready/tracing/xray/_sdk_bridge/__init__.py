"""Code that uses the X-Ray SDK makes spans of ours; see `_joined` for how."""
