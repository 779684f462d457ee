"""An AWS account of moto's, and the variables by which botocore finds it."""

from __future__ import annotations

import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

__all__ = ["find_account", "serve_account"]


@contextmanager
def serve_account() -> Iterator[str]:
    """Run moto's server, with nothing in it, inside the block; give its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        _empty(url)
        yield url
    finally:
        server.stop()


def _empty(url: str) -> None:
    # All servers of a process have one account, whatever test started them.
    reset = urllib.request.Request(f"{url}/moto-api/reset", method="POST")
    with urllib.request.urlopen(reset) as answer:
        answer.read()


def find_account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore find the server, as an operator's environment would."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
