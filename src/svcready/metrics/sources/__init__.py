"""Where families of metrics come from, each read into the neutral snapshot."""
