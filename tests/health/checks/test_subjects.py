"""What no ready-made check can ask is refused where it is declared."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import pytest

from svcready import health
from svcready.errors import DeclarationError, MissingExtraError
from svcready.health._check import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "amqp://orders:hunter2@mq.internal/"
BY_OBJECT = (
    "add_aio_pika",
    "add_engine",
    "add_psycopg_pool",
    "add_redis",
    "add_thread_pool",
)
BY_TEXT = (
    "add_disk",
    "add_dlq",
    "add_dynamodb_table",
    "add_s3_bucket",
    "add_secret",
    "add_sqs_queue",
)
BY_BOTH = ("add_kafka", "add_pika", "add_psycopg")


@pytest.fixture(autouse=True)
def _no_checks() -> Iterator[None]:
    """Leave none behind that was declared by mistake."""
    yield
    CHECKS.clear()


def call(function: str, subject: object) -> None:
    """Call a function of the face with what its type does not allow."""
    cast("Callable[[object], None]", getattr(health, function))(subject)


@pytest.mark.parametrize("function", [*BY_OBJECT, *BY_TEXT, *BY_BOTH])
@pytest.mark.parametrize("subject", [3, [], object()], ids=["3", "list", "object"])
def test_something_else(function: str, subject: object) -> None:
    """The application hears of it at its start, not of an attribute that is missing."""
    with pytest.raises(DeclarationError) as raised:
        call(function, subject)

    assert function in str(raised.value) or "path=" in str(raised.value)


@pytest.mark.parametrize("function", BY_OBJECT)
def test_a_url_in_place_of_a_client(function: str) -> None:
    """It says what was meant, and keeps the password that the text may hold."""
    with pytest.raises(DeclarationError, match=f"health.{function} takes .*, not str$"):
        call(function, SECRET)


@pytest.mark.parametrize("function", BY_TEXT)
def test_an_empty_text(function: str) -> None:
    """As it comes from a variable that is not set."""
    with pytest.raises(DeclarationError):
        call(function, "")


@pytest.mark.parametrize(
    ("function", "module", "subject"),
    [("add_pika", "pika", SECRET), ("add_psycopg", "psycopg", "dbname=orders")],
)
def test_a_package_that_is_missing(
    function: str, module: str, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"pip install {module}"):
        call(function, subject)


@pytest.mark.parametrize(
    ("function", "subject"),
    [
        ("add_pika", "amqp://orders:hunter2@mq.internal:five/"),
        ("add_pika", "hunter2"),
        ("add_kafka", {"sasl.password": "hunter2"}),
        ("add_sqs_queue", "https://orders:hunter2@sqs.internal/"),
    ],
)
def test_a_text_that_leads_nowhere(function: str, subject: object) -> None:
    """It is refused without being quoted."""
    with pytest.raises(DeclarationError) as raised:
        call(function, subject)

    assert "hunter2" not in str(raised.value)
