"""The page that a Prometheus server scrapes."""
