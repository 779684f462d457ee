"""The source tree as the architecture tests read it, and clean processes for them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "svcready"

ENTRY_POINTS = frozenset({"svcready.__main__"})
"""What running, not importing, is for."""

FRAMEWORKS = frozenset({"celery", "django", "fastapi", "flask", "starlette"})


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: Path

    @cached_property
    def name(self) -> str:
        """The dotted name that it is imported by."""
        parts = self.path.relative_to(PACKAGE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.path.read_text(), str(self.path))

    @property
    def is_package(self) -> bool:
        """Whether it is a package's `__init__`."""
        return self.path.name == "__init__.py"

    def imports(self) -> Iterator[tuple[str, ast.stmt]]:
        """
        Find each import, wherever it stands, as an absolute dotted name.

        `from a import b` is both `a` and `a.b`, because `b` may be a module.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, node
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield base, node
                for alias in node.names:
                    yield f"{base}.{alias.name}", node

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""

        parts = self.name.split(".")
        keep = len(parts) - node.level + (1 if self.is_package else 0)
        return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def modules() -> list[Module]:
    """List every file of the package, the face first."""
    return [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]


def importable() -> list[str]:
    """List the dotted name of every module that importing is for."""
    return [module.name for module in modules() if module.name not in ENTRY_POINTS]


def run_clean(code: str, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """
    Run *code* in a fresh interpreter and return what it printed.

    Coverage's measuring of subprocesses is left out: it would import, open and
    register before the code under test does.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "COV_CORE", "OTEL_", "PYTHON", "SVCREADY_"))
    }
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**kept, **(env or {})},
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_clean_json(code: str, *arguments: str) -> object:
    """Run *code* in a fresh interpreter and read the last line printed as JSON."""
    return json.loads(run_clean(code, *arguments).splitlines()[-1])
