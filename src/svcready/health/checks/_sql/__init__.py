"""Checks of databases by SQLAlchemy, psycopg and Django, and of Django's caches."""
