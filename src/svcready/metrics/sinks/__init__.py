"""Where metrics go, each rendering the neutral snapshot its own way."""
