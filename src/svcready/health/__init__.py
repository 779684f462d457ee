"""The health of a service: background checks, and endpoints that only read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from svcready.health._check import check
from svcready.health._events import (
    CheckChanged,
    CheckRan,
    LifecycleChanged,
    StartupTaskEnded,
    StartupTaskLate,
)
from svcready.health._result import CheckResult, fail, warn

if TYPE_CHECKING:
    from svcready.health._board import Probe
    from svcready.health._life._departure import draining, ending, until_ending
    from svcready.health._life._heartbeat import Heartbeat, heartbeat
    from svcready.health._life._lifecycle import Lifecycle
    from svcready.health._life._startup import StartupTask, startup_task
    from svcready.health._pillar import HealthPillar
    from svcready.health._running._state import CheckStatus, Transition
    from svcready.health._schema import schema
    from svcready.health.checks._brokers._aio_pika import add_aio_pika
    from svcready.health.checks._brokers._kafka import add_kafka
    from svcready.health.checks._brokers._pika import add_pika
    from svcready.health.checks._brokers._redis import add_redis
    from svcready.health.checks._cloud._dynamodb import add_dynamodb_table
    from svcready.health.checks._cloud._s3 import add_s3_bucket
    from svcready.health.checks._cloud._secrets import add_secret
    from svcready.health.checks._cloud._sqs import add_dlq, add_sqs_queue
    from svcready.health.checks._machine._disk import add_disk
    from svcready.health.checks._machine._loop_lag import add_event_loop_lag
    from svcready.health.checks._machine._memory import add_memory
    from svcready.health.checks._machine._threads import add_thread_pool
    from svcready.health.checks._network._clock_skew import add_clock_skew
    from svcready.health.checks._network._dns import add_dns
    from svcready.health.checks._network._http import add_http
    from svcready.health.checks._network._tcp import add_tcp
    from svcready.health.checks._network._tls import add_tls_expiry
    from svcready.health.checks._sql._django import add_django_databases
    from svcready.health.checks._sql._django_caches import add_django_caches
    from svcready.health.checks._sql._django_migrations import add_django_migrations
    from svcready.health.checks._sql._psycopg import add_psycopg
    from svcready.health.checks._sql._psycopg_pool import add_psycopg_pool
    from svcready.health.checks._sql._sqlalchemy import add_engine

__all__ = [
    "CheckChanged",
    "CheckRan",
    "CheckResult",
    "CheckStatus",
    "HealthPillar",
    "Heartbeat",
    "Lifecycle",
    "LifecycleChanged",
    "Probe",
    "StartupTask",
    "StartupTaskEnded",
    "StartupTaskLate",
    "Transition",
    "add_aio_pika",
    "add_clock_skew",
    "add_disk",
    "add_django_caches",
    "add_django_databases",
    "add_django_migrations",
    "add_dlq",
    "add_dns",
    "add_dynamodb_table",
    "add_engine",
    "add_event_loop_lag",
    "add_http",
    "add_kafka",
    "add_memory",
    "add_pika",
    "add_psycopg",
    "add_psycopg_pool",
    "add_redis",
    "add_s3_bucket",
    "add_secret",
    "add_sqs_queue",
    "add_tcp",
    "add_thread_pool",
    "add_tls_expiry",
    "check",
    "draining",
    "ending",
    "fail",
    "heartbeat",
    "schema",
    "startup_task",
    "until_ending",
    "warn",
]

# What only a runtime or one kind of check needs; declaring a check does not load it.
_LAZY = {
    "CheckStatus": "_running._state",
    "HealthPillar": "_pillar",
    "Heartbeat": "_life._heartbeat",
    "Lifecycle": "_life._lifecycle",
    "Probe": "_board",
    "StartupTask": "_life._startup",
    "Transition": "_running._state",
    "add_aio_pika": "checks._brokers._aio_pika",
    "add_clock_skew": "checks._network._clock_skew",
    "add_disk": "checks._machine._disk",
    "add_django_caches": "checks._sql._django_caches",
    "add_django_databases": "checks._sql._django",
    "add_django_migrations": "checks._sql._django_migrations",
    "add_dlq": "checks._cloud._sqs",
    "add_dns": "checks._network._dns",
    "add_dynamodb_table": "checks._cloud._dynamodb",
    "add_engine": "checks._sql._sqlalchemy",
    "add_event_loop_lag": "checks._machine._loop_lag",
    "add_http": "checks._network._http",
    "add_kafka": "checks._brokers._kafka",
    "add_memory": "checks._machine._memory",
    "add_pika": "checks._brokers._pika",
    "add_psycopg": "checks._sql._psycopg",
    "add_psycopg_pool": "checks._sql._psycopg_pool",
    "add_redis": "checks._brokers._redis",
    "add_s3_bucket": "checks._cloud._s3",
    "add_secret": "checks._cloud._secrets",
    "add_sqs_queue": "checks._cloud._sqs",
    "add_tcp": "checks._network._tcp",
    "add_thread_pool": "checks._machine._threads",
    "add_tls_expiry": "checks._network._tls",
    "draining": "_life._departure",
    "ending": "_life._departure",
    "heartbeat": "_life._heartbeat",
    "schema": "_schema",
    "startup_task": "_life._startup",
    "until_ending": "_life._departure",
}


def __getattr__(name: str) -> object:
    file = _LAZY.get(name)
    if file is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    made: object = getattr(import_module(f"{__name__}.{file}"), name)
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
