"""What users' tests rely on: a runtime of the test's own, and what it said."""

from __future__ import annotations

import warnings

import pytest
from flask import Flask

import svcready
from svcready._runtime import current
from svcready.errors import DeclarationError
from svcready.testing import running


def make_app() -> Flask:
    """Make an application as a factory does, with a configuration of its own."""
    app = Flask("orders")
    svcready.init(service="orders", version="1.4.2", app=app, reconfigure=True)

    @app.get("/orders/<order_id>")
    def read_order(order_id: str) -> str:
        return order_id

    return app


def test_a_factorys_init_joins_the_tests_runtime() -> None:
    """`init()` inside the block attaches its application and neither warns nor wins."""
    with running() as harness, warnings.catch_warnings():
        warnings.simplefilter("error")
        make_app().test_client().get("/orders/7", buffered=True)

        assert current() is harness.runtime
        (line,) = harness.access_lines

    assert line["service"] == "test"


def test_an_application_made_before_follows_the_tests_runtime() -> None:
    """An application that importing it has initialised is seen after `shutdown()`."""
    app = make_app()
    svcready.shutdown(1.0)

    with running() as harness:
        app.test_client().get("/orders/7", buffered=True)
        (line,) = harness.access_lines

    assert line["service"] == "test"


def test_a_runtime_in_force_is_no_tests_own() -> None:
    """With a runtime in force already the block refuses, and says what to call."""
    svcready.init(service="orders")
    try:
        with (
            pytest.raises(DeclarationError, match=r"call svcready.shutdown\(\) first"),
            running(),
        ):
            pass
    finally:
        svcready.shutdown(1.0)


def test_init_decides_again_after_the_block() -> None:
    """What held the test's runtime in force ends with the block."""
    with running():
        pass

    try:
        assert svcready.init(service="orders").settings.service.name == "orders"
    finally:
        svcready.shutdown(1.0)
