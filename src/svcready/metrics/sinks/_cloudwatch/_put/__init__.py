"""PutMetricData."""
