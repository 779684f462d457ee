"""The declaration of checks."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready.errors import DeclarationError
from svcready.health._check import CHECKS, Check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def declared(name: str) -> Check:
    """Return a declared check."""
    found = CHECKS.get(name)
    assert found is not None
    return found


def test_unchanged() -> None:
    """The decorator gives back the function itself, plain or async, named or not."""

    def plain() -> None:
        pass

    async def coroutine() -> None:
        pass

    assert health.check(plain) is plain
    assert health.check("b")(coroutine) is coroutine
    assert CHECKS.names() == (
        f"{__name__}.test_unchanged.plain".lower(),
        "b",
    )
    assert not declared(CHECKS.names()[0]).is_async
    assert declared("b").is_async


class Service:
    """Callable things of all kinds."""

    async def method(self, times: int = 1) -> None:
        """Check."""

    async def __call__(self) -> None:
        """Check."""

    def plain(self) -> None:
        """Check."""


class Job:
    """An object of the application's with attributes that ready-made checks have."""

    target = "x"
    found = True

    async def run(self, times: int) -> None:
        """Run the job, which is no check."""

    def __call__(self) -> None:
        """Check."""


async def twice(times: int) -> None:
    """Check *times* times."""


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (Service().method, True),
        (Service().plain, False),
        (Service(), True),
        (Job(), False),
        (partial(Job()), False),
        (partial(twice, 2), True),
        (partial(Service().plain), False),
        (lambda: None, False),
        (object, False),
    ],
)
def test_kinds_of_functions(function: Callable[[], object], is_async: bool) -> None:
    """Methods, partials, callable objects and lambdas are told apart, async or not."""
    health.check("x")(function)

    assert declared("x").is_async == is_async


def test_arguments() -> None:
    """Durations may be numbers, timedeltas or text; nothing said stays unsaid."""
    health.check("a", timeout="250ms", interval=timedelta(minutes=1))(lambda: None)
    health.check("b", critical=True, timeout=3, fail_after=1)(lambda: None)

    assert (declared("a").timeout_s, declared("a").interval_s) == (0.25, 60.0)
    assert declared("b")[2:9] == (
        *("critical", ("readiness",), 3.0, None, 1, None, False),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "Database"},
        {"name": "a b"},
        {"name": ""},
        {"name": "default"},
        {"timeout": 0},
        {"timeout": "soon"},
        {"timeout": float("nan")},
        {"interval": -1},
        {"interval": 0.01},
        {"fail_after": 0},
        {"recover_after": 1.5},
        {"recover_after": True},
        {"loop": "other"},
        {"criticality": "high"},
        {"criticality": True},
        {"groups": "readiness"},
        {"groups": ()},
        {"groups": ("A",)},
        {"groups": ("liveness",)},
    ],
)
def test_wrong_arguments(arguments: dict[str, object]) -> None:
    """A wrong argument raises at declaration and names the value."""
    with pytest.raises(DeclarationError) as caught:
        health.check(**arguments)(lambda: None)  # type: ignore[call-overload]

    (value,) = arguments.values()
    text = str(value[0]) if isinstance(value, tuple) and value else str(value)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "criticality"),
    [
        ({}, "degraded"),
        ({"critical": False}, "degraded"),
        ({"critical": True}, "critical"),
        ({"criticality": "critical"}, "critical"),
        ({"criticality": "degraded"}, "degraded"),
        ({"criticality": "informational"}, "informational"),
        ({"critical": True, "criticality": "critical"}, "critical"),
        ({"critical": False, "criticality": "informational"}, "informational"),
    ],
)
def test_criticality(arguments: dict[str, object], criticality: str) -> None:
    """A check is critical, degraded or informational; `critical` is the short form."""
    health.check("x", **arguments)(lambda: None)  # type: ignore[call-overload]

    assert declared("x").criticality == criticality


@pytest.mark.parametrize(
    ("critical", "criticality"),
    [(True, "degraded"), (True, "informational"), (False, "critical")],
)
def test_criticality_contradicts(critical: bool, criticality: str) -> None:
    """The two ways to say it may not say two things."""
    with pytest.raises(DeclarationError, match=f"{critical}.*{criticality}"):
        health.check("x", critical=critical, criticality=criticality)


def test_liveness_has_to_be_forced() -> None:
    """A check may have the process killed only by an explicit word."""
    health.check("a", groups=("liveness",), force_liveness=True)(lambda: None)

    assert declared("a").groups == ("liveness",)


def generator() -> Iterator[None]:
    """Yield."""
    yield


async def async_generator() -> AsyncIterator[None]:
    """Yield."""
    yield


def keyword_only(*, session: object) -> None:
    """Need an argument."""


@pytest.mark.parametrize(
    "function",
    [generator, async_generator, twice, keyword_only, Service.method, "database", 5],
)
def test_wrong_functions(function: Callable[[], object]) -> None:
    """What cannot be run as a check is refused at declaration."""
    with pytest.raises(DeclarationError, match="health"):
        health.check("x")(function)


def test_factory_declares_again() -> None:
    """The same function, made again by an application factory, replaces itself."""

    def factory(answer: bool) -> Callable[[], bool]:
        @health.check("x", critical=True)
        def database() -> bool:
            return answer

        return database

    factory(answer=True)
    second = factory(answer=False)

    assert declared("x").function is second


def test_another_function_of_the_name() -> None:
    """Another function under a name that is taken raises and shows both places."""
    health.check("x")(lambda: None)

    with pytest.raises(DeclarationError, match=r"(?s)test_check\.py.*test_check\.py"):
        health.check("x")(keyword_free)


def keyword_free() -> None:
    """Check."""


def test_names_that_collide_in_variables() -> None:
    """Two names that variables spell alike raise."""
    health.check("pay-ments")(keyword_free)

    with pytest.raises(DeclarationError, match="PAY_MENTS"):
        health.check("pay.ments")(lambda: None)


def test_face_offers_its_names() -> None:
    """Every listed name is there, and no other."""
    assert [getattr(health, name) for name in health.__all__]
    with pytest.raises(AttributeError, match="nonsense"):
        health.nonsense  # noqa: B018
