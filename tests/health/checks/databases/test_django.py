"""Checks of Django's databases, caches and migrations, in a project of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.architecture.house import ROOT
from tests.health.checks.databases.django_program import ALLOWED_S, CACHES
from tests.health.checks.databases.support import IN_TIME_S
from tests.servers.redis_server import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Told = dict[str, Any]

HERE = ("files", "local", "nothing")
POSTGRES = ("django.db.default", "django.db.pooled")


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    """Start a Redis server."""
    with redis_server(password="tr0ub4dor") as server:
        yield server.port


@pytest.fixture(scope="module")
def told(
    _started: str, redis_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Told:
    """Return what the project's checks said."""
    directory: Path = tmp_path_factory.mktemp("django")
    port = _started.rpartition(":")[2].partition("/")[0]
    program = "tests.health.checks.databases.django_program"
    done = subprocess.run(
        [sys.executable, "-m", program, port, str(directory), str(redis_port)],
        cwd=ROOT,
        # Else the runner would run the same checks in between.
        env={**os.environ, "SVCREADY_HEALTH_MODE": "on_demand"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tr0ub4dor" not in done.stdout
    read: Told = json.loads((directory / "told.json").read_text())
    assert "tr0ub4dor" not in json.dumps(read)
    read["lines"] = [json.loads(line) for line in done.stdout.splitlines()]
    return read


def test_what_the_settings_ask_for_is_found(told: Told) -> None:
    """Databases and caches that can be lost; `default` is the service's own."""
    found = {name: criticality for name, (criticality, _) in told["found"].items()}

    assert found == {
        "django.db.default": "critical",
        "django.db.pooled": "degraded",
        "django.db.file": "degraded",
        "django.cache.default": "degraded",
        "django.cache.theirs": "degraded",
        "django.cache.memcached": "degraded",
        "django.cache.table": "degraded",
        "django.cache.files": "degraded",
    }
    target = told["found"]["django.db.default"][1]
    assert target.startswith("postgresql://127.0.0.1:")
    assert target.endswith("/postgres")


def test_the_start_line_says_what_is_found(told: Told) -> None:
    """And what it counts as, though it is Django that starts svcready half way."""
    (line,) = [line for line in told["lines"] if line["event"] == "svcready.started"]

    assert line["context"]["health"]["found"] == {
        name: criticality for name, (criticality, _) in told["found"].items()
    }
    assert not [line for line in told["lines"] if line["event"] == "health.check_found"]


def test_what_is_found_after_the_start_line_has_its_own() -> None:
    """A project whose settings call `init()` is known when Django has set itself up."""
    program = """
import django
from django.conf import settings
import svcready

svcready.init(service="orders")
table = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "c"}
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "a.db"}},
    CACHES={"default": table},
    INSTALLED_APPS=["svcready.adapters.django"],
)
django.setup()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "SVCREADY_HEALTH_MODE": "on_demand"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told = [line["context"] for line in lines if line["event"] == "health.check_found"]
    assert [(each["name"], each["criticality"]) for each in told] == [
        ("django.db.default", "critical"),
        ("django.cache.default", "degraded"),
    ]


def test_the_applications_own_words_replace_what_was_found(told: Told) -> None:
    """One check for each alias, whoever declared it."""
    assert told["declared"] == [
        *(f"django.cache.{name}" for name in sorted((*CACHES, *HERE))),
        *(f"django.db.{name}" for name in ("default", "file", "memory", "pooled")),
        "django.migrations",
    ]


@pytest.mark.parametrize("name", [*POSTGRES, "django.db.file", "django.db.memory"])
def test_up(told: Told, name: str) -> None:
    """It passes, and the thread's own connection is not the application's."""
    assert told[f"up {name}"][:2] == ["pass", ""]
    assert told["same"] is True


def test_a_file_that_is_yet_to_be_made(told: Told) -> None:
    """It is a warning, and the check does not make it."""
    status, output, _ = told["new django.db.file"]

    assert (status, output[:16]) == ("warn", "there is no file")
    assert told["made"] is False


@pytest.mark.parametrize("name", POSTGRES)
@pytest.mark.parametrize("when", ["hanging", "down"])
def test_hanging_and_down(told: Told, when: str, name: str) -> None:
    """It fails in time, leaves no thread, and passes again afterwards."""
    status, output, seconds = told[f"{when} {name}"]

    assert status == "fail"
    assert ("refused" if when == "down" else "no connection within") in output
    assert seconds < IN_TIME_S
    assert told["threads"] == []
    assert told[f"again {name}"][0] == "pass"


def test_djangos_pool(told: Told) -> None:
    """With its only connection in use it is exhausted, and the check waits for none."""
    status, output, seconds = told["full django.db.pooled"]

    assert (status, seconds < ALLOWED_S / 2) == ("warn", True)
    assert output.startswith("pool exhausted: 1 of 1")
    assert told["free django.db.pooled"][:2] == ["pass", ""]


def test_migrations(told: Told) -> None:
    """Pending ones are a warning that names them; a lost database is a failure."""
    status, output, _ = told["pending django.migrations"]

    assert status == "warn"
    assert output.startswith("2 migrations not run: contenttypes.0001_initial")
    assert told["migrated django.migrations"][0] == "pass"
    assert told["down django.migrations"][0] == "fail"
    assert told["hanging django.migrations"][0] == "fail"
    assert told["again django.migrations"][0] == "pass"


@pytest.mark.parametrize("name", [*CACHES, "files", "local"])
def test_caches(told: Told, name: str) -> None:
    """What is set is there."""
    assert told[f"cache django.cache.{name}"][:2] == ["pass", ""]


@pytest.mark.parametrize("name", CACHES)
@pytest.mark.parametrize("when", ["hanging", "down"])
def test_caches_hanging_and_down(told: Told, when: str, name: str) -> None:
    """Each fails in time, whatever the application's time-outs, and is back at once."""
    status, _, seconds = told[f"{when} django.cache.{name}"]

    assert status == "fail"
    assert seconds < IN_TIME_S
    assert told[f"again django.cache.{name}"][:2] == ["pass", ""]


def test_caches_leave_the_applications_pool_alone(told: Told) -> None:
    """It has the application's time-outs, no connection of ours, and few are kept."""
    assert told["theirs"] == [30, 0]
    assert told["left"] == [2, 0]  # one of each Redis cache, and none of memcached


def test_a_cache_that_keeps_nothing(told: Told) -> None:
    """It is no good, if somebody asks."""
    assert told["cache django.cache.nothing"][:2] == [
        "fail",
        "what was set is not there: nothing was read",
    ]
