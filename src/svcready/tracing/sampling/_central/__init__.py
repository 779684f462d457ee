"""X-Ray's central sampling rules: fetched, kept, decided by and reported on."""
