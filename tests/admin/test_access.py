"""Who is let in: tokens in production, the own machine in development."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.admin import Admission, TokenGate
from svcready.config._sections.admin import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable


def headers(**values: str) -> Callable[[str], str | None]:
    """Read headers given as keyword arguments, `_` for `-`."""
    known = {name.replace("_", "-").lower(): text for name, text in values.items()}
    return lambda name: known.get(name.lower())


def gate(*tokens: str, open_to_loopback: bool = False) -> TokenGate:
    """Make a gate as the configuration would."""
    return TokenGate(tokens, configured=bool(tokens), open_to_loopback=open_to_loopback)


def test_without_tokens_nothing_is_there() -> None:
    """No credentials configured: the path does not exist, whoever asks."""
    asked = headers(Authorization="Bearer anything", Host="localhost")

    assert gate().judge(asked, "127.0.0.1") is Admission.HIDDEN


@pytest.mark.parametrize("authorization", ["Bearer s3cret", "bearer s3cret"])
def test_a_configured_token_is_admitted(authorization: str) -> None:
    """Any of the tokens opens the gate; the scheme's case does not matter."""
    judged = gate("other", "s3cret").judge(headers(Authorization=authorization), None)

    assert judged is Admission.ADMITTED


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic s3cret", "s3cret", "Bearer s3cre"],
)
def test_anything_else_is_refused(authorization: str) -> None:
    """Missing or wrong credentials are refused, not hidden."""
    judged = gate("s3cret").judge(headers(Authorization=authorization), "127.0.0.1")

    assert judged is Admission.REFUSED


@pytest.mark.parametrize("offered", ["", "\0", "Bearer \0", "None", "()"])
def test_malformed_tokens_admit_nobody(offered: str) -> None:
    """A token list that could not be read fails closed, in development too."""
    judged = gate(*NOBODY, open_to_loopback=True).judge(
        headers(Authorization=offered, Host="localhost"), "127.0.0.1"
    )

    assert judged is Admission.REFUSED


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("localhost:8000", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:8000", "::1"),
        ("LOCALHOST", "127.8.8.8"),
    ],
)
def test_development_admits_the_own_machine(host: str, peer: str) -> None:
    """Development without tokens: a loopback peer with a loopback Host gets in."""
    judged = gate(open_to_loopback=True).judge(headers(Host=host), peer)

    assert judged is Admission.ADMITTED


@pytest.mark.parametrize(
    ("host", "peer", "more"),
    [
        ("evil.example", "127.0.0.1", {}),  # DNS rebinding
        ("localhost.evil.example", "127.0.0.1", {}),
        ("localhost", "10.0.0.7", {}),
        ("localhost", None, {}),
        ("localhost", "testclient", {}),
        ("", "127.0.0.1", {}),
        ("localhost", "127.0.0.1", {"X_Forwarded_For": "127.0.0.1"}),
        ("localhost", "127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
        ("localhost", "127.0.0.1", {"X_Forwarded_Proto": "https"}),
        ("localhost", "127.0.0.1", {"X_Forwarded_Port": "443"}),
        ("localhost", "127.0.0.1", {"Via": "1.1 proxy"}),
    ],
)
def test_development_admits_nobody_else(
    host: str, peer: str | None, more: dict[str, str]
) -> None:
    """A foreign peer, a foreign Host or a proxy in between finds no path there."""
    judged = gate(open_to_loopback=True).judge(headers(Host=host, **more), peer)

    assert judged is Admission.HIDDEN


def test_tokens_close_development_too() -> None:
    """With tokens configured, the own machine needs one as well."""
    judged = gate("s3cret", open_to_loopback=True).judge(
        headers(Host="localhost"), "127.0.0.1"
    )

    assert judged is Admission.REFUSED
