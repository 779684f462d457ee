"""Runs the checks of a Django project, and writes down what they say."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import django
from django.conf import settings

from svcready.health._check import CHECKS
from svcready.health._result import judge, judge_error
from svcready.health._running._allowed import set_allowed
from tests.health.checks.databases.memcached import memcached_server
from tests.servers.harness import eventually
from tests.servers.relay import Relay

ALLOWED_S = 0.6


def configure(relay: Relay, directory: str, caches: Relay, memcached: Relay) -> None:
    """Set Django up with databases and caches of every kind that there is."""
    postgres = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "orders",
        "PASSWORD": "tr0ub4dor",
        "HOST": "127.0.0.1",
        "PORT": str(relay.port),
    }
    settings.configure(
        DATABASES={
            "default": {**postgres, "CONN_MAX_AGE": 600},
            "pooled": {**postgres, "OPTIONS": {"pool": {"min_size": 1, "max_size": 1}}},
            "file": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{directory}/a.db",
            },
            "memory": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
        },
        CACHES={
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"redis://:tr0ub4dor@127.0.0.1:{caches.port}",
                "OPTIONS": {"retry_on_timeout": True},
            },
            "theirs": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": f"redis://:tr0ub4dor@127.0.0.1:{caches.port}/1",
                "OPTIONS": {"CONNECTION_POOL_KWARGS": {"socket_timeout": 30}},
            },
            "memcached": {
                "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
                "LOCATION": f"127.0.0.1:{memcached.port}",
            },
            "table": {
                "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                "LOCATION": "cached",
            },
            "files": {
                "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                "LOCATION": f"{directory}/cache",
            },
            "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "nothing": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "svcready.adapters.django"],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )


class Program:
    """What is asked of the project, by name, and what came of it."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.told: dict[str, object] = {}

    def run(self, name: str) -> tuple[str, str, float]:
        """Run a check on a thread of its own, as the runner does."""
        said: list[tuple[str, str, float]] = []

        def work() -> None:
            set_allowed(ALLOWED_S)
            check = CHECKS.get(name)
            assert check is not None
            began_s = time.monotonic()
            try:
                result = judge(check.function())
            except Exception as error:  # noqa: BLE001 - as the runner does
                result = judge_error(error)

            said.append((result.status, result.output, time.monotonic() - began_s))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return said[0]

    def note(self, what: str, *names: str) -> None:
        """Run checks and remember what they said."""
        for name in names:
            self.told[f"{what} {name}"] = self.run(name)

    def settle(self, connections: int) -> None:
        """Wait until so many clients are connected."""
        eventually(
            lambda: self.relay.connections == connections,
            f"{connections} connections, not {self.relay.connections}",
        )


CACHES = ("default", "theirs", "memcached", "table")


def look_at_caches(program: Program, caches: Relay, memcached: Relay) -> None:
    """Let the caches that are somewhere else hang and go away, with their users."""
    from django.core.cache import caches as django_caches

    names = [f"django.cache.{name}" for name in CACHES]
    program.note("cache", *names, "django.cache.files", "django.cache.local")
    program.note("cache", "django.cache.nothing")
    theirs = django_caches["theirs"]
    pool = theirs.client.get_client().connection_pool  # type: ignore[attr-defined]
    program.told["theirs"] = [
        pool.connection_kwargs.get("socket_timeout"),
        len(pool._available_connections),
    ]
    relays = (program.relay, caches, memcached)
    for relay in relays:
        relay.swallow()

    for _ in range(3):
        program.note("hanging", *names)

    for relay in relays:
        relay.refuse()

    program.note("down", *names)
    for relay in relays:
        relay.through()

    program.note("again", *names)
    for relay in relays[1:]:
        program.told.setdefault("left", []).append(relay.connections)  # type: ignore[attr-defined]


def main(port: int, directory: str, redis_port: int) -> None:
    """Run everything, and write what came of it into the directory."""
    with (
        Relay(port) as relay,
        Relay(redis_port) as caches,
        memcached_server() as memcached_port,
        Relay(memcached_port) as memcached,
    ):
        configure(relay, directory, caches, memcached)
        django.setup()
        from django.core.management import call_command
        from django.db import connection, connections

        from svcready import health

        program = Program(relay)
        program.told["found"] = {
            check.name: [check.criticality, getattr(check.function, "target", "")]
            for check in CHECKS.things()
        }
        health.add_django_databases()
        health.add_django_caches(timeout=1)
        health.add_django_migrations()
        program.told["declared"] = sorted(CHECKS.names())

        databases = [f"django.db.{name}" for name in ("default", "pooled")]
        with connection.cursor() as cursor:  # the application's own, on its thread
            cursor.execute("SELECT pg_backend_pid()")
            before = cursor.fetchone()

        program.note("new", "django.db.file")
        program.told["made"] = Path(directory, "a.db").exists()
        Path(directory, "a.db").touch()
        program.note("up", *databases, "django.db.file", "django.db.memory")
        program.note("pending", "django.migrations")
        call_command("migrate", verbosity=0)
        connections["pooled"].close()
        program.note("migrated", "django.migrations")
        program.settle(1)

        with connections["pooled"].cursor() as cursor:  # makes Django's pool
            cursor.execute("SELECT 1")
            program.note("full", "django.db.pooled")

        connections["pooled"].close()
        program.note("free", "django.db.pooled")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            program.told["same"] = cursor.fetchone() == before

        connection.close()
        connections["pooled"].close_pool()  # type: ignore[attr-defined]
        relay.swallow()
        for _ in range(3):
            program.note("hanging", *databases, "django.migrations")

        program.settle(0)
        program.told["threads"] = sorted(
            thread.name
            for thread in threading.enumerate()
            if thread.name.startswith("svcready-check")
        )
        relay.refuse()
        program.note("down", *databases, "django.migrations")
        relay.through()
        program.note("again", *databases, "django.migrations")
        call_command("createcachetable", verbosity=0)
        connection.close()
        look_at_caches(program, caches, memcached)

    Path(directory, "told.json").write_text(json.dumps(program.told))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
