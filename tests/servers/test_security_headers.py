"""Security headers under real servers, Django's own among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.matrix import SERVERS, Stack, start

if TYPE_CHECKING:
    from pathlib import Path

SOME = {"fastapi-uvicorn", "flask-gunicorn", "django-uvicorn", "django-gunicorn"}


@pytest.mark.parametrize("stack", [s for s in SERVERS if s.name in SOME], ids=str)
def test_whatever_is_answered(stack: Stack, tmp_path: Path) -> None:
    """A page, one that is not there, an error, a probe and the scrape carry them."""
    with start(stack, tmp_path, SVCREADY_HTTP_SECURITY_HEADERS="api") as service:
        seen = {
            path: service.get(path)
            for path in ("/plain", "/nowhere", "/boom/x", "/readyz", "/metrics")
        }

    assert [answer.status for answer in seen.values()] == [200, 404, 500, 200, 200]
    for path, answer in seen.items():
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["x-frame-options"] == "DENY", path
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
