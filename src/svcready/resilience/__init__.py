"""The policies that guard a call: retry, breaker, and what composes them."""
