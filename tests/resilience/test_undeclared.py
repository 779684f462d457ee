"""Policies that are used by a name which nobody declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import httpx
import pytest

import svcready
from svcready.errors import ConfigurationError, DeclarationError
from svcready.resilience import aws
from svcready.resilience.clients.aiohttp import PolicyMiddleware
from svcready.resilience.clients.httpx import AsyncPolicyTransport, PolicyTransport
from svcready.resilience.clients.requests import PolicyAdapter
from svcready.testing import Harness, running

if TYPE_CHECKING:
    from collections.abc import Callable

USES: dict[str, Callable[[str], object]] = {
    "httpx": PolicyTransport,
    "httpx per host": lambda name: PolicyTransport(name, per_host=True),
    "async httpx": AsyncPolicyTransport,
    "requests": PolicyAdapter,
    "aiohttp": PolicyMiddleware,
    "decorator": lambda name: svcready.policy(name)(lambda: None),
}


def told(harness: Harness) -> tuple[str, ...]:
    """Return what a service says is wrong once it is ready."""
    assert harness.runtime.problems() == ()
    harness.runtime.ready()
    return harness.runtime.problems()


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_misspelt_policy_is_told_when_the_service_is_ready(
    use: Callable[[str], object],
) -> None:
    """Before the first call, with the place and the name that was meant."""
    svcready.policy("payments", timeout=2)
    with running() as harness:
        use("paymnts")
        (problem,) = told(harness)

    assert problem.startswith("policy 'paymnts' is used, but nothing that was imported")
    assert "did you mean payments? (used at " in problem
    assert "test_undeclared.py" in problem


def test_a_name_that_is_declared_in_time_is_no_problem() -> None:
    """The order of imports doesn't matter, up to the first request."""
    with running() as harness:
        PolicyTransport("payments")
        svcready.policy("payments", timeout=2)
        assert told(harness) == ()


def test_strict_mode_refuses_it() -> None:
    """As it does whatever else is wrong with a start."""
    with running(environ={"SVCREADY_CORE_STRICT": "true"}) as harness:
        PolicyTransport("paymnts")
        with pytest.raises(ConfigurationError, match="paymnts"):
            harness.runtime.ready()


def test_the_error_at_the_call_names_the_nearest() -> None:
    """Whoever reads the error knows what to write."""
    svcready.policy("payments", timeout=2)
    client = httpx.Client(transport=PolicyTransport("paymnts"))
    with pytest.raises(DeclarationError, match="did you mean payments"):
        client.get("http://127.0.0.1:9/")

    with pytest.raises(DeclarationError, match=r"is made of$"):
        svcready.policy("quite-another").call(print)


def test_no_host_of_a_misspelt_policy_is_told_besides() -> None:
    """The one that was written is told, however many hosts were asked."""
    client = httpx.Client(transport=PolicyTransport("paymnts", per_host=True))
    with running() as harness:
        with pytest.raises(DeclarationError):
            client.get("http://127.0.0.1:9/")

        (problem,) = told(harness)

    assert "'paymnts'" in problem


def test_an_aws_client_gets_its_preset_and_a_notice() -> None:
    """No problem: it is guarded; but a name nearly like another's is a line."""
    svcready.policy("orders-table", preset="aws")
    with running() as harness:
        for name in ("order-table", "search"):
            client = boto3.client("dynamodb", region_name="eu-west-1")
            aws.guard(client, name)

        assert told(harness) == ()
        (notice,) = harness.runtime.resilience.notices()

    assert notice == (
        "policy 'order-table' is declared nowhere, so it gets the preset aws; did you "
        "mean orders-table?"
    )
