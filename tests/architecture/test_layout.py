"""How each file of the package is written."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.house import FRAMEWORKS, Module, modules

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60

APPLICATIONS = frozenset({"svcready.demo.payments", "svcready.demo.service"})
"""Are written as users write theirs, so they say `import svcready`; nobody of ours
imports them before they run."""

MAY_IMPORT = {
    "aiohttp": ("svcready.resilience.clients.aiohttp",),
    "boto3": ("svcready._transport",),
    "botocore": (
        "svcready._transport",
        "svcready.health.checks._cloud._aws",
        "svcready.health.checks._cloud._dynamodb",
        "svcready.health.checks._cloud._s3",
        "svcready.health.checks._cloud._secrets",
        "svcready.health.checks._cloud._sqs",
        "svcready.metrics.clients._botocore",
        "svcready.metrics.clients._sqs_queue",
        "svcready.resilience._aws._calls",
        "svcready.resilience._aws._timeouts",
    ),
    "django": (
        "svcready.adapters.django",
        "svcready.health.checks._sql._django",
        "svcready.health.checks._sql._django_caches",
        "svcready.health.checks._sql._django_migrations",
        "svcready.metrics.clients._django",
        "svcready.resilience._database._django",
    ),
    "fastapi": ("svcready.adapters.fastapi", "svcready.demo"),
    "flask": ("svcready.adapters.flask",),
    "gunicorn": ("svcready.logging._sources._gunicorn",),
    "loguru": ("svcready.logging._sources._loguru",),
    "starlette": (
        "svcready.adapters._starlette_ahead",
        "svcready.adapters._starlette_answers",
        "svcready.adapters._starlette_routes",
        "svcready.adapters.fastapi",
        "svcready.demo",
    ),
    "opentelemetry.exporter": ("svcready._transport",),
    "opentelemetry.sdk": ("svcready._transport", "svcready.tracing"),
    "prometheus_client": ("svcready.demo", "svcready.metrics", "svcready.testing"),
    "psutil": (
        "svcready.health.checks._forked",
        "svcready.health.checks._machine._memory",
        "svcready.metrics",
    ),
    "pythonjsonlogger": ("svcready.logging",),
    "structlog": ("svcready.logging._sources._structlog",),
}
"""Who may import which library, type-only imports included."""


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines; its docstring is the contract and may be long."""
    length = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        length -= (first.end_lineno or 0) - first.lineno + 1

    return length


every_module = pytest.mark.parametrize("module", modules(), ids=lambda m: m.name)


@every_module
def test_nobody_imports_the_face(module: Module) -> None:
    """No file imports `svcready` itself, so no circle runs through the face."""
    if module.name in APPLICATIONS:
        pytest.skip("uses svcready, as an application")

    submodules = {other.name for other in modules()}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            # `import svcready.x` binds the face.
            found = [a for a in node.names if a.name.split(".")[0] == "svcready"]
            assert not [a for a in found if a.name == "svcready" or not a.asname]
        elif isinstance(node, ast.ImportFrom) and node.module == "svcready":
            names = {f"svcready.{alias.name}" for alias in node.names}
            assert names <= submodules, names - submodules


@every_module
def test_a_file_says_what_it_is(module: Module) -> None:
    """Each file opens with one sentence that ends."""
    docstring = ast.get_docstring(module.tree)

    assert docstring
    first = docstring.split("\n\n")[0].rstrip()
    assert first.endswith((".", ":")), first


@every_module
def test_files_and_functions_stay_short(module: Module) -> None:
    """A file has at most 350 lines and a function at most 60."""
    assert len(module.path.read_text().splitlines()) <= MAX_FILE_LINES

    too_long = {
        node.name: length
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := lines_of(node)) > MAX_FUNCTION_LINES
    }
    assert not too_long


@every_module
def test_a_library_is_imported_in_its_place_only(module: Module) -> None:
    """Frameworks meet their adapter only, and each library the part that needs it."""
    misplaced = {
        name
        for name, _ in module.imports()
        for library, places in MAY_IMPORT.items()
        if f"{name}.".startswith(f"{library}.")
        and not f"{module.name}.".startswith(tuple(f"{place}." for place in places))
    }

    assert not misplaced


def test_frameworks_have_a_place() -> None:
    """Every framework that svcready knows is held to its adapter."""
    assert FRAMEWORKS - {"celery"} <= MAY_IMPORT.keys()


@every_module
def test_files_in_a_pillar_are_private(module: Module) -> None:
    """
    A file whose name a public name could equal is underscored.

    Importing a submodule sets it on its package, where it would take a name's place.
    """
    pillars = {"health", "logging", "metrics", "resilience", "tracing"}
    parts = module.name.split(".")
    if len(parts) < 3 or parts[1] not in pillars or module.is_package:
        return

    public = {
        "svcready.logging.audit",  # `svcready.audit` is this very module
        "svcready.resilience.aws",
        "svcready.resilience.database",
        "svcready.resilience.http",
        "svcready.resilience.message",
        "svcready.resilience.redis",
    }
    # Users name a client's module by its library's name, of which the package has none.
    clients = module.name.startswith("svcready.resilience.clients.")
    assert parts[-1].startswith("_") or module.name in public or clients
