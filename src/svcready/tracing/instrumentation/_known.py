"""The OpenTelemetry instrumentation packages of clients that are known by name."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["KNOWN", "SERVERS", "Known"]


class Known(NamedTuple):
    """An instrumentation package: what it instruments, and by what."""

    library: str
    """The module whose import switches it on."""
    package: str
    """The module below `opentelemetry.instrumentation`."""
    instrumentor: str
    """The class in it."""
    distribution: str = ""
    """What to install; empty if the extra `instrument` brings it."""
    any_version: bool = False
    """Works with newer releases of the library than it names; a test shows it."""


KNOWN = {
    "httpx": Known("httpx", "httpx", "HTTPXClientInstrumentor"),
    "requests": Known("requests", "requests", "RequestsInstrumentor"),
    "urllib3": Known("urllib3", "urllib3", "URLLib3Instrumentor"),
    "botocore": Known("botocore", "botocore", "BotocoreInstrumentor"),
    "sqlalchemy": Known(
        "sqlalchemy", "sqlalchemy", "SQLAlchemyInstrumentor", any_version=True
    ),
    "psycopg": Known("psycopg", "psycopg", "PsycopgInstrumentor"),
    "redis": Known("redis", "redis", "RedisInstrumentor"),
    "pika": Known("pika", "pika", "PikaInstrumentor"),
    "celery": Known("celery", "celery", "CeleryInstrumentor"),
    "aio_pika": Known("aio_pika", "aio_pika", "AioPikaInstrumentor", "aio-pika"),
    "aiohttp_client": Known(
        "aiohttp", "aiohttp_client", "AioHttpClientInstrumentor", "aiohttp-client"
    ),
    "aiokafka": Known("aiokafka", "aiokafka", "AIOKafkaInstrumentor", "aiokafka"),
    "asyncpg": Known("asyncpg", "asyncpg", "AsyncPGInstrumentor", "asyncpg"),
    "confluent_kafka": Known(
        "confluent_kafka",
        "confluent_kafka",
        "ConfluentKafkaInstrumentor",
        "confluent-kafka",
    ),
    "kafka": Known("kafka", "kafka", "KafkaInstrumentor", "kafka-python"),
    "mysql": Known("mysql.connector", "mysql", "MySQLInstrumentor", "mysql"),
    "mysqlclient": Known(
        "MySQLdb", "mysqlclient", "MySQLClientInstrumentor", "mysqlclient"
    ),
    "psycopg2": Known("psycopg2", "psycopg2", "Psycopg2Instrumentor", "psycopg2"),
    "pymemcache": Known(
        "pymemcache", "pymemcache", "PymemcacheInstrumentor", "pymemcache"
    ),
    "pymongo": Known("pymongo", "pymongo", "PymongoInstrumentor", "pymongo"),
    "pymysql": Known("pymysql", "pymysql", "PyMySQLInstrumentor", "pymysql"),
}
"""By the name that the setting takes, which is the library's."""

SERVERS = frozenset(
    (
        "aiohttp_server",
        "asgi",
        "django",
        "falcon",
        "fastapi",
        "flask",
        "pyramid",
        "starlette",
        "tornado",
        "wsgi",
    )
)
"""Packages that make a span of each request, as svcready does itself."""
