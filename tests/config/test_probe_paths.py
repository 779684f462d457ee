"""The probes' paths as they are configured, and whose a path is already."""

from __future__ import annotations

from itertools import product

import pytest

from svcready.config import Settings, load
from svcready.errors import DeclarationError

DEFAULTS = ("/health/liveness", "/health/readiness", "/health/startup")
NAMES = ("liveness", "readiness", "startup")


def settle(*paths: str, aliases: str = "true") -> Settings:
    """Read the paths of liveness, readiness and startup; an empty one is not set."""
    environ = {"SVCREADY_HEALTH_ALIASES": aliases}
    for name, path in zip(NAMES, paths, strict=False):
        environ[f"SVCREADY_HEALTH_{name.upper()}_PATH"] = path

    return load(environ=environ)


def in_force(settings: Settings) -> tuple[str, ...]:
    """Return the three paths in force."""
    return tuple(getattr(settings.health, f"{name}_path") for name in NAMES)


def test_free_paths_are_taken() -> None:
    """Any three paths that are nobody's; two probes may even swap theirs."""
    for paths in (
        ("/alive", "/ready/", "/"),
        (DEFAULTS[1], DEFAULTS[0], DEFAULTS[2]),
        ("/livez", "/readyz", "/startupz"),
        ("/metrics2", "/administration", "/health"),
    ):
        settings = settle(*paths)

        assert in_force(settings) == paths
        assert settings.problems == ()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/metrics", "because the metrics are there"),
        ("/admin", "because what is below /admin is for operators only"),
        ("/admin/alive", "because what is below /admin is for operators only"),
        ("/health/readiness", "because readiness is asked there"),
        ("/startupz", "because that is startup by SVCREADY_HEALTH_ALIASES"),
    ],
)
def test_a_path_that_is_taken(path: str, reason: str) -> None:
    """It is reported with whose it is, and the default used."""
    settings = settle(path)

    assert in_force(settings) == DEFAULTS
    refused = f"SVCREADY_HEALTH_LIVENESS_PATH={path} is refused {reason}"
    used = "/health/liveness (the default) is used"
    assert [str(problem) for problem in settings.problems] == [f"{refused}; {used}"]


def test_two_probes_on_one_path() -> None:
    """Which of them was meant can't be known, so neither is there."""
    settings = settle("/ok", "/ok")

    assert in_force(settings) == DEFAULTS
    assert [problem.kind for problem in settings.problems] == ["refused", "refused"]


def test_what_falls_back_onto_another() -> None:
    """A default is not given away to a probe that would stand in its place."""
    settings = settle("/metrics", "/health/liveness")

    assert in_force(settings) == DEFAULTS
    assert len(settings.problems) == 2


def test_no_path_is_ever_shared() -> None:
    """However three paths are chosen, each of them is one probe's alone."""
    choices = (*DEFAULTS, "/metrics", "/livez", "/readyz", "/startupz", "/x")
    for paths in product(choices, repeat=3):
        settled = in_force(settle(*paths))

        assert len(set(settled)) == 3
        assert "/metrics" not in settled
        for name, path in zip(NAMES, settled, strict=True):
            alias = {"/livez": "liveness", "/readyz": "readiness"}.get(path)
            assert alias in {None, name}


def test_another_probes_alias_is_free_where_there_are_none() -> None:
    """Without aliases their names can be chosen for anything."""
    assert in_force(settle("/readyz", aliases="false"))[0] == "/readyz"


@pytest.mark.parametrize(
    "path", ["ok", "//", "/a//b", "/a/../b", "/./a", "/a b", "/a?b", "/" + "a" * 200]
)
def test_what_is_no_path(path: str) -> None:
    """It is reported and the default used: a client would never ask for it so."""
    settings = settle(path)

    assert in_force(settings) == DEFAULTS
    assert [problem.kind for problem in settings.problems] == ["malformed"]


def test_what_code_says() -> None:
    """A path from code that collides is reported by its key."""
    settings = load(environ={}, arguments={"health.startup_path": "/metrics"})

    assert settings.health.startup_path == "/health/startup"
    assert "init(health.startup_path)" in str(settings.problems[0])
    with pytest.raises(DeclarationError, match="not allowed"):
        load(environ={}, arguments={"health.startup_path": "metrics"})
