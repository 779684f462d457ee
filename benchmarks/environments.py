"""The harness's own virtual environments, made anew when what they hold changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


FOREIGN = (
    "AWS_",
    "LOGFIRE_",
    "LOGURU_",
    "LOG_LEVEL",
    "OTEL_",
    "POWERTOOLS_",
    "PROMETHEUS_",
    "PYTHON",
    "SVCREADY_",
)
"""What a subject could read in the caller's environment, and must not."""


def prepare(*, distro: bool) -> Path:
    """
    Return the interpreter of an environment that holds the pinned peers.

    Args:
        distro: Whether it is the one for distributions such as logfire, which change
            other libraries by being installed and must not touch the rest.
    """
    suffix = "-distros" if distro else ""
    home = HERE / f".venv{suffix}"
    requirements = HERE / f"requirements{suffix}.txt"
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    stamp = home / "made-from"
    made_from = _digest(
        requirements, HERE / "requirements.txt", ROOT / "pyproject.toml"
    )
    if python.exists() and stamp.exists() and stamp.read_text() == made_from:
        return python

    sys.stderr.write(f"preparing {home.relative_to(ROOT)}\n")
    shutil.rmtree(home, ignore_errors=True)
    wanted = ["-r", str(requirements), "-e", str(ROOT)]
    uv = shutil.which("uv")
    if uv is not None:
        _call(uv, "venv", "--quiet", "--python", sys.executable, str(home))
        _call(uv, "pip", "install", "--quiet", "--python", str(python), *wanted)
    else:
        _call(sys.executable, "-m", "venv", str(home))
        _call(str(python), "-m", "pip", "install", "--quiet", *wanted)

    stamp.write_text(made_from)
    return python


def clean_environment(**extra: str) -> dict[str, str]:
    """Return an environment in which only what we set can change a subject."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) and not name.lower().endswith("_proxy")
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Else an installed logfire is loaded by whoever imports pydantic.
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
        **extra,
    }


def _digest(*paths: Path) -> str:
    found = hashlib.sha256(sys.version.encode())
    for path in paths:
        found.update(path.read_bytes())

    return found.hexdigest()


def _call(*command: str) -> None:
    subprocess.run(command, check=True)
