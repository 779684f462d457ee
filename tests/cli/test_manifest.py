"""`svcready health manifest`: right on each platform, or refused with the reason."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from svcready.cli import main
from svcready.cli._manifests import FORMATS
from svcready.cli._probe_plan import Asked, ProbePlan, contradictions, make_plan
from svcready.config import load
from tests.architecture.house import ROOT

if TYPE_CHECKING:
    from pathlib import Path

USUAL = Asked()
EVERY = pytest.mark.parametrize("platform", sorted(FORMATS))
SETTINGS: tuple[dict[str, str], ...] = (
    {},
    {"SVCREADY_HEALTH_MODE": "on_demand", "SVCREADY_HEALTH_TOTAL_TIMEOUT_S": "3"},
    {"SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "20", "SVCREADY_LIFECYCLE_GRACE_S": "60"},
    {
        "SVCREADY_LIFECYCLE_STARTUP_TIMEOUT_S": "299.5",
        "SVCREADY_ADMIN_PORT": "9090",
        "SVCREADY_HTTP_PATH_PREFIX": "/ops",
        "SVCREADY_HEALTH_READINESS_PATH": "/is~ready/",
    },
)


def plan(environ: dict[str, str], asked: Asked = USUAL) -> ProbePlan:
    """Return the numbers of a service with such variables."""
    return make_plan(load(environ=environ), "orders", asked)


def write(platform: str, environ: dict[str, str]) -> str:
    """Return a manifest, which must not be refused."""
    made = plan(environ)
    assert contradictions(made, platform) == ()
    return FORMATS[platform](made)


def tool(name: str) -> str:
    """Return the path of a program that CI has."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        if os.environ.get("TEST_REQUIRE_SERVICES"):
            pytest.fail(f"{name} is not installed")

        pytest.skip(f"{name} is not installed")

    return path


@pytest.mark.parametrize("environ", SETTINGS, ids=str)
def test_kubernetes(environ: dict[str, str]) -> None:
    """The probes obey Kubernetes' rules and fit the settings."""
    settings = load(environ=environ)
    pod: Any = yaml.safe_load(write("kubernetes", environ))
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    lifecycle = settings.lifecycle

    assert settings.problems == ()  # what the manifest follows has an effect
    assert ports.get("ops", 0) == settings.admin.port
    end_s = lifecycle.drain_delay_s + lifecycle.drain_timeout_s
    end_s += lifecycle.flush_timeout_s
    assert pod["terminationGracePeriodSeconds"] >= end_s
    for name in ("liveness", "readiness", "startup"):
        probe = container[f"{name}Probe"]
        numbers = {key: value for key, value in probe.items() if key != "httpGet"}
        path = getattr(settings.health, f"{name}_path")
        assert probe["httpGet"]["path"] == settings.http.path_prefix + path
        assert probe["httpGet"]["port"] == ("ops" if settings.admin.port else "http")
        assert all(type(value) is int and value >= 1 for value in numbers.values())
        assert probe["timeoutSeconds"] <= probe["periodSeconds"]
        if settings.health.mode == "on_demand":
            assert probe["timeoutSeconds"] > settings.health.total_timeout_s

        if name != "readiness":
            assert probe["successThreshold"] == 1

    startup = container["startupProbe"]
    budget_s = startup["periodSeconds"] * startup["failureThreshold"]
    assert 0 <= budget_s - lifecycle.startup_timeout_s <= startup["periodSeconds"]


@pytest.mark.parametrize("environ", SETTINGS, ids=str)
def test_ecs(environ: dict[str, str]) -> None:
    """Every number is within ECS's ranges, and the command is ours."""
    (container,) = yaml.safe_load(write("ecs", environ))["ContainerDefinitions"]
    check = container["HealthCheck"]

    assert check["Command"][:3] == ["CMD", "svcready", "healthcheck"]
    assert 5 <= check["Interval"] <= 300
    assert 2 <= check["Timeout"] <= 60
    assert 1 <= check["Retries"] <= 10
    assert 0 <= check["StartPeriod"] <= 300
    assert 2 <= container["StopTimeout"] <= 120
    # The command gives up before ECS does, so that it can say why.
    waits_s = float((check["Command"] + ["", "3"])[4] or 3)
    assert waits_s < check["Timeout"]
    assert waits_s >= plan(environ).worst_s


@pytest.mark.parametrize("environ", SETTINGS, ids=str)
def test_alb(environ: dict[str, str]) -> None:
    """Every number is within the ranges of an Application Load Balancer."""
    group = yaml.safe_load(write("alb", environ))
    (attribute,) = group["TargetGroupAttributes"]

    assert group["Matcher"] == {"HttpCode": "200"}
    assert 5 <= group["HealthCheckIntervalSeconds"] <= 300
    assert 2 <= group["HealthCheckTimeoutSeconds"] <= 120
    assert group["HealthCheckTimeoutSeconds"] < group["HealthCheckIntervalSeconds"]
    assert 2 <= group["HealthyThresholdCount"] <= 10
    assert 2 <= group["UnhealthyThresholdCount"] <= 10
    assert attribute["Key"] == "deregistration_delay.timeout_seconds"
    assert 15 <= int(attribute["Value"]) <= 3600


def test_docker() -> None:
    """One HEALTHCHECK whose parts Docker knows, and no comment within a line."""
    text = write("docker", {})
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", "")
    options, _, command = whole.partition("CMD ")

    assert not any("#" in line for line in lines)
    assert whole.count("HEALTHCHECK") == 1
    assert dict(re.findall(r"--([a-z-]+)=(\S+)", options)) == {
        "interval": "10s",
        "timeout": "5s",
        "start-period": "60s",
        "retries": "3",
    }
    assert json.loads(command.splitlines()[0]) == ["svcready", "healthcheck"]


@pytest.mark.parametrize("environ", SETTINGS[:3], ids=str)
def test_haproxy(environ: dict[str, str], tmp_path: Path) -> None:
    """HAProxy itself takes it, and notices before a service that drains is gone."""
    if "SVCREADY_HEALTH_MODE" in environ:
        environ = {**environ, "SVCREADY_LIFECYCLE_DRAIN_DELAY_S": "10"}

    text = write("haproxy", environ)
    file = tmp_path / "haproxy.cfg"
    head = "defaults\n    mode http\n    timeout connect 1s\n    timeout client 9s\n"
    head += "    timeout server 9s\nfrontend in\n    bind 127.0.0.1:1\n"
    file.write_text(f"{head}    default_backend orders\n{text}")
    done = subprocess.run(
        [tool("haproxy"), "-c", "-f", file], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower()
    period, fall = re.findall(r"inter (\d+)ms fall (\d+)", text)[0]
    (timeout,) = re.findall(r"timeout check (\d+)ms", text)
    delay_s = load(environ=environ).lifecycle.drain_delay_s
    assert int(period) * int(fall) + int(timeout) <= delay_s * 1000


@EVERY
def test_whose_it_is(platform: str) -> None:
    """It says whose it is, or how to say so where only the code knows."""
    named = FORMATS[platform](plan({}))
    nobodys = FORMATS[platform](make_plan(load(environ={}), "", USUAL))

    assert "for the service orders" in named
    assert "for a service that --name names" in nobodys


@pytest.mark.parametrize("environ", SETTINGS, ids=str)
def test_nginx(environ: dict[str, str], tmp_path: Path) -> None:
    """NGINX itself takes it."""
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{write('nginx', environ)}}}\n"
    )
    place = ["-p", str(tmp_path), "-c", str(file)]
    command = [tool("nginx"), "-t", "-e", "stderr", *place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr.replace('[warn] the "user" directive', "")


@EVERY
def test_every_number_has_a_reason(platform: str) -> None:
    """No number of seconds or times stands there without a comment."""
    text = write(platform, {})
    told = [line for line in text.splitlines() if re.search(r"\d", line)]
    if platform in {"docker", "haproxy", "nginx"}:
        assert sum("#" in line for line in text.splitlines()) >= 5
    else:
        bare = [line for line in told if "#" not in line]
        assert all(re.search("(?i)port|path", line) for line in bare), bare


@pytest.mark.parametrize(
    ("platform", "environ", "asked", "reason"),
    [
        (
            "kubernetes",
            {"LIFECYCLE_GRACE_S": "20"},
            Asked(),
            "SIGKILL comes after 20 s",
        ),
        ("ecs", {"LIFECYCLE_FLUSH_TIMEOUT_S": "11"}, Asked(), "takes up to 31 s"),
        ("docker", {}, Asked(grace_s=10), "SVCREADY_LIFECYCLE_GRACE_S=25 or more"),
        (
            "kubernetes",
            {"HEALTH_MODE": "on_demand"},
            Asked(timeout_s=0.5),
            "may take 0.8 s to answer (SVCREADY_HEALTH_TOTAL_TIMEOUT_S)",
        ),
        ("haproxy", {"LIFECYCLE_DRAIN_DELAY_S": "1"}, Asked(), "takes to notice"),
        ("haproxy", {}, Asked(period_s=10, failures=3), "31 s that HAProxy takes"),
        ("kubernetes", {"LIFECYCLE_DRAIN_DELAY_S": "0"}, Asked(), "would find nobody"),
        (
            "kubernetes",
            {"ADMIN_PORT": "9090", "ADMIN_HOST": "127.0.0.1"},
            Asked(),
            "the kubelet asks from outside",
        ),
        ("kubernetes", {}, Asked(period_s=2, timeout_s=3), "overtake each other"),
        ("ecs", {}, Asked(period_s=4, timeout_s=2), "Interval would be 4"),
        ("ecs", {}, Asked(failures=11), "Retries would be 11, and ECS takes 1 to 10"),
        ("ecs", {"LIFECYCLE_STARTUP_TIMEOUT_S": "301"}, Asked(), "StartPeriod"),
        ("ecs", {"LIFECYCLE_GRACE_S": "121"}, Asked(), "StopTimeout"),
        ("alb", {}, Asked(failures=1), "UnhealthyThresholdCount would be 1"),
        ("alb", {}, Asked(timeout_s=5), "shorter than its interval"),
        ("nginx", {"HEALTH_ENABLED": "false"}, Asked(), "no probe to ask"),
        ("nginx", {"HTTP_ENABLED": "false"}, Asked(), "no probe to ask"),
    ],
)
def test_what_is_refused(
    platform: str, environ: dict[str, str], asked: Asked, reason: str
) -> None:
    """What can't be right is said in a sentence with the numbers."""
    environ = {f"SVCREADY_{name}": value for name, value in environ.items()}

    found = contradictions(plan(environ, asked), platform)

    assert len(found) == 1, found
    assert reason in found[0]


@EVERY
def test_the_command(
    platform: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prints the manifest with the service's own name and port, and exits with 0."""
    monkeypatch.setenv("SVCREADY_SERVICE_NAME", "Orders & Co")
    monkeypatch.setenv("UVICORN_PORT", "8123")

    assert main(["health", "manifest", "--format", platform]) == 0
    text = capsys.readouterr().out
    assert "orders-co" in text
    assert "8123" in text or platform == "docker"


def test_the_command_refuses(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It exits with 1 and prints nothing but each contradiction on a line."""
    monkeypatch.setenv("SVCREADY_LIFECYCLE_GRACE_S", "10")
    monkeypatch.setenv("SVCREADY_LIFECYCLE_DRAIN_DELAY_S", "0")

    assert main(["health", "manifest", "--format", "kubernetes"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.partition(":")[0] for line in said.err.splitlines()] == [
        "svcready"
    ] * 2


def test_what_is_misread_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that can't be read is noted: its default stands in the manifest."""
    monkeypatch.setenv("SVCREADY_LIFECYCLE_GRACE_S", "soon")

    assert main(["health", "manifest", "--format", "docker"]) == 0
    assert "SVCREADY_LIFECYCLE_GRACE_S='soon' is not allowed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--port", "0"], ["--timeout", "soon"], ["--failures", "1.5"], []]
)
def test_a_wrong_command_line(words: list[str]) -> None:
    """The parser says what is allowed, and exits with 2."""
    with pytest.raises(SystemExit) as stopped:
        main(["health", "manifest", *(["--format", "ecs"] if words else []), *words])

    assert stopped.value.code == 2


def test_options_win() -> None:
    """What was said on the command line is in the numbers."""
    made = plan({}, Asked(9000, 7.0, 2.0, 4, 44.0))

    assert (made.port, made.grace_s) == (9000, 44.0)
    assert made.liveness == made.readiness == (7.0, 2.0, 4)
    assert made.startup.timeout_s == 2.0
    assert made.startup.failures == math.ceil(60 / made.startup.period_s)


def test_the_page_shows_what_is_printed() -> None:
    """The manifest in the documentation is what the command prints."""
    page = (ROOT / "docs" / "health.md").read_text()
    _, _, section = page.partition("## Kubernetes\n")

    assert f"```yaml\n{write('kubernetes', {})}```" in section


@pytest.mark.parametrize("platform", ["ecs", "docker"])
def test_the_command_asks_the_port_that_was_said(
    platform: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named where the container's variables would lead the command elsewhere."""
    asks = '"healthcheck", "--port", "8080"'
    arguments = ["health", "manifest", "--format", platform, "--port", "8080"]
    assert main(arguments) == 0
    assert asks in capsys.readouterr().out

    for variables in ({"PORT": "8080"}, {"SVCREADY_ADMIN_PORT": "9090"}):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)

            assert main(arguments) == 0

        assert asks not in capsys.readouterr().out
