"""Probes under each server: methods, names, and details for those with a token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.harness import Service

TOKEN = {"Authorization": "Bearer the-right-token"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/livez?a=1&b"])
def test_names_of_kubernetes(service: Service, path: str) -> None:
    """Each probe has its short name too, and no query changes what it says."""
    answer = service.get(path, {"Accept": "text/plain"})

    assert (answer.status, answer.body) == (200, b'{"status":"pass"}')


@pytest.mark.parametrize("path", ["/health/readiness", "/readyz"])
def test_head(service: Service, path: str) -> None:
    """HEAD says what GET says, without a body that the server has to drop."""
    answer = service.client.head(path)

    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == str(len(b'{"status":"pass"}'))
    assert answer.headers["cache-control"] == "no-store"
    assert "no-body response" not in service.output  # gunicorn's words for it


def test_other_methods(service: Service) -> None:
    """POST changes nothing, and is told what there is."""
    answer = service.client.post("/health/liveness", content=b"x" * 1000)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert service.get("/health/liveness").status == 200


def test_details_are_for_those_with_a_token(service: Service) -> None:
    """The same path tells an operator of its checks, and others the bare status."""
    full = json.loads(service.get("/health/readiness", TOKEN).body)
    wrong = service.get("/health/readiness", {"Authorization": "Bearer wrong"})

    assert full["serviceId"] == "orders"
    assert full["lifecycle"]["state"] == "ready"
    assert (wrong.status, wrong.body) == (200, b'{"status":"pass"}')


def test_a_slash_too_many(service: Service) -> None:
    """`/livez/` is no probe's: the application answers, and says that it has none."""
    assert service.get("/livez/").status == 404
