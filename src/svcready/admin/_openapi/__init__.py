"""The OpenAPI document of the operator's paths."""
