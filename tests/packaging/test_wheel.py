"""The wheel as users install it, in environments of its own."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from scripts.check_extras import Environment, build_wheel, check_bounds, runnable_uv

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]

IMPORT_ALL = """
import importlib, json, pkgutil, svcready

missing = {}
for found in pkgutil.walk_packages(svcready.__path__, "svcready."):
    if found.name == "svcready.__main__":
        continue
    try:
        importlib.import_module(found.name)
    except ImportError as error:
        missing[found.name] = f"{type(error).__name__}: {error}"

print(json.dumps(missing))
"""

NEEDS_AN_EXTRA = (
    "svcready.adapters._starlette_ahead",
    "svcready.adapters._starlette_answers",
    "svcready._transport.aws",
    "svcready.adapters._starlette_routes",
    "svcready.adapters.django",
    "svcready.adapters.fastapi",
    "svcready.adapters.flask",
    "svcready.cli",
    "svcready.demo",
    "svcready.logging._sources._gunicorn",  # gunicorn alone imports it
    "svcready.resilience.clients.",
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_what_users_need(wheel: Path) -> None:
    """The wheel holds the package, its typing marker and the licence, and no test."""
    names = zipfile.ZipFile(wheel).namelist()

    assert "svcready/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"svcready"}


def test_the_base_install_imports(wheel: Path, tmp_path: Path) -> None:
    """Without extras everything imports but what is for a library that is not there."""
    environment = Environment(tmp_path / "venv", "uv" if runnable_uv() else "pip")
    environment.install(str(wheel))

    missing = environment.run_json(IMPORT_ALL)

    assert isinstance(missing, dict)
    assert not [name for name in missing if not name.startswith(NEEDS_AN_EXTRA)], (
        missing
    )


@pytest.mark.skipif(not runnable_uv(), reason="uv alone resolves to lowest versions")
def test_lowest_and_highest_versions_pair(wheel: Path) -> None:
    """Both ends of every range install, without a broken requirement."""
    assert check_bounds(str(wheel)) == []
