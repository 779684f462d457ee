"""Databases that are found by themselves, in a service that starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.architecture.house import run_clean

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE = """
import sys
import svcready
from sqlalchemy import create_engine

engines = [create_engine(url) for url in sys.argv[1:]]
runtime = svcready.init(service="orders")
engines.append(create_engine("sqlite://"))
if len(engines) == 1:  # some make theirs only now
    engines.append(create_engine("postgresql+psycopg://u:tr0ub4dor@127.0.0.1:1/late"))

svcready.shutdown()
create_engine("postgresql+psycopg://u@127.0.0.1:1/after")
"""
ORDERS = "postgresql+psycopg://u:tr0ub4dor@127.0.0.1:1/orders"
STOCK = "postgresql+psycopg://u:tr0ub4dor@127.0.0.1:1/stock"


def start(*urls: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Start a service with such engines, and return the context of its start line."""
    printed = run_clean(SERVICE, *urls, env=env)
    assert "tr0ub4dor" not in printed
    lines = [json.loads(line) for line in printed.splitlines()]
    (found,) = [line for line in lines if line["message"].startswith("svcready is on")]
    context: dict[str, Any] = found["context"]
    return context


def test_the_only_database_is_critical() -> None:
    """The start line says so."""
    told = start(ORDERS)

    assert told["health"]["found"] == {"sqlalchemy.orders": "critical"}
    assert told["health"]["critical"] == ["sqlalchemy.orders"]
    assert "notices" not in told


def test_a_database_found_after_the_start_has_a_line() -> None:
    """A worker is ready at once, and its engines may be made after `init()`."""
    lines = [json.loads(line) for line in run_clean(SERVICE).splitlines()]
    (found,) = [line for line in lines if line.get("event") == "health.check_found"]

    assert found["message"] == "health check sqlalchemy.late was found: critical"
    assert found["context"] == {
        "name": "sqlalchemy.late",
        "criticality": "critical",
        "target": "postgresql://127.0.0.1:1/late",
    }


def test_of_several_none_is_guessed() -> None:
    """They are degraded, and the start line says how to say which one it is."""
    told = start(ORDERS, STOCK)

    names = {"sqlalchemy.orders": "degraded", "sqlalchemy.stock": "degraded"}
    assert told["health"]["found"] == names
    assert told["health"]["critical"] == []
    (notice,) = told["notices"]
    assert notice.startswith("more than one SQL database was found (sqlalchemy.orders,")


def test_an_operator_says_which_it_is() -> None:
    """By the variable that the notice names, which is a known one."""
    variable = "SVCREADY_CHECK__SQLALCHEMY_STOCK__CRITICALITY"
    told = start(ORDERS, STOCK, env={variable: "critical"})

    assert told["health"]["critical"] == ["sqlalchemy.stock"]
    assert told["health"]["found"]["sqlalchemy.stock"] == "critical"
    assert "notices" not in told
    assert "problems" not in told


def test_off_by_variable() -> None:
    """Nothing is looked for then."""
    told = start(ORDERS, env={"SVCREADY_HEALTH_AUTO_CHECKS": "false"})

    assert told["health"]["found"] == {}
    assert told["health"]["checks"] == 0


def test_without_metrics() -> None:
    """What is found does not hang on what is measured."""
    told = start(ORDERS, env={"SVCREADY_METRICS_ENABLED": "false"})

    assert told["health"]["found"] == {"sqlalchemy.orders": "critical"}


ONE_AFTER_ANOTHER = """
import svcready
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

def layers():
    found, made = 0, vars(Engine)["__init__"]
    while hasattr(made, "__wrapped__"):
        found, made = found + 1, made.__wrapped__
    return found

for _ in range(5):
    svcready.init(service="orders")
    svcready.shutdown()
    create_engine("sqlite://")
    print("layers", layers())
"""


def test_services_one_after_another_wrap_engines_no_deeper() -> None:
    """Who calls `init()` and `shutdown()` again and again, as tests do, pays once."""
    environ = {"SVCREADY_METRICS_INSTRUMENT": "sqlalchemy"}
    printed = run_clean(ONE_AFTER_ANOTHER, env=environ).splitlines()
    layers = [int(line.split()[1]) for line in printed if line.startswith("layers ")]

    assert len(layers) == 5
    assert max(layers) <= 1
