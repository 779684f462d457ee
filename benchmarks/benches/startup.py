"""What importing, declaring, starting and living cost."""

from __future__ import annotations

from benchmarks.model import Bench, Group, Subject

IMPORT = Bench(
    "import",
    Group.STARTUP,
    (
        Subject(
            "svcready",
            "benchmarks.fresh.import_ours",
            "import svcready",
            ours=True,
            after=("benchmarks.fresh",),
        ),
        Subject("prometheus_client", "prometheus_client"),
        Subject("structlog", "structlog"),
        Subject("stamina", "stamina"),
        Subject("logfire", "logfire", distro=True),
        Subject(
            "ADOT",
            "amazon.opentelemetry.distro.aws_opentelemetry_configurator",
            distro=True,
        ),
    ),
    fresh=True,
)

DECLARE = Bench(
    "declare",
    Group.STARTUP,
    (
        Subject(
            "svcready", "benchmarks.fresh.declare_ours", "one of each kind", ours=True
        ),
        Subject(
            "peers",
            "benchmarks.fresh.declare_peers",
            "structlog, prometheus_client, stamina, circuitbreaker, OTel API",
        ),
    ),
    fresh=True,
)

_APP = ("benchmarks.fresh.app",)

INIT = Bench(
    "init",
    Group.STARTUP,
    (
        Subject(
            "svcready",
            "benchmarks.fresh.init_ours",
            "import and init",
            ours=True,
            after=_APP,
        ),
        Subject(
            "peer stack",
            "benchmarks.fresh.init_peer_stack",
            "imports and set-up",
            after=_APP,
        ),
        Subject(
            "logfire",
            "benchmarks.fresh.init_logfire",
            "import and set-up",
            distro=True,
            after=_APP,
        ),
    ),
    fresh=True,
)

MEMORY = Bench(
    "memory",
    Group.STARTUP,
    (
        Subject("bare", "benchmarks.fresh.memory_bare"),
        Subject("svcready", "benchmarks.fresh.memory_ours", "5%", ours=True),
        Subject("peer stack", "benchmarks.fresh.memory_peer_stack", "5%"),
        Subject("logfire", "benchmarks.fresh.memory_logfire", "5%", distro=True),
    ),
    fresh=True,
)

_UP = ("benchmarks.fresh.commands",)

HEALTHCHECK = Bench(
    "healthcheck",
    Group.STARTUP,
    (
        Subject("bare", "benchmarks.fresh.check_bare", "python -c pass", after=_UP),
        Subject(
            "svcready",
            "benchmarks.fresh.check_script",
            "svcready healthcheck",
            ours=True,
            after=_UP,
        ),
        Subject(
            "svcready -m",
            "benchmarks.fresh.check_module",
            "python -m svcready healthcheck",
            ours=True,
            after=_UP,
        ),
        Subject(
            "urllib",
            "benchmarks.fresh.check_urllib",
            "python -c with urllib.request.urlopen",
            after=_UP,
        ),
    ),
    fresh=True,
)

BENCHES = (
    IMPORT,
    DECLARE,
    INIT,
    MEMORY,
    HEALTHCHECK,
)
