"""The host of a request: what its Host header says, if that is one."""

from __future__ import annotations

import pytest

from svcready.adapters._hosts import server_of


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("shop.example", {"server.address": "shop.example"}),
        ("shop.example:8000", {"server.address": "shop.example", "server.port": 8000}),
        ("[::1]:8000", {"server.address": "::1", "server.port": 8000}),
        ("[::1]", {"server.address": "::1"}),
        ("127.0.0.1:80", {"server.address": "127.0.0.1", "server.port": 80}),
    ],
)
def test_a_host_header_names_the_server(
    header: str, expected: dict[str, str | int]
) -> None:
    """With its port, if it has one."""
    assert server_of(header) == expected


@pytest.mark.parametrize(
    "header",
    [None, "", "a b", "user@shop", "shop/x", "a:b:c", "shop:http", "[::1", "x" * 256],
)
def test_what_is_no_host_names_nothing(header: str | None) -> None:
    """Where the server listens is said instead."""
    assert server_of(header) is None
