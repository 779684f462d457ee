"""Makes the checkout's virtual environment: with uv if it runs, else venv and pip."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEVELS = {
    "run": ["--editable", f"{ROOT}[cli,otlp]"],
    "dev": ["--editable", f"{ROOT}[all]", "--group", f"{ROOT}/pyproject.toml:dev"],
}
PIP_WITH_GROUPS = "pip>=25.1"
NO_VENV = """\
This Python can make no virtual environment with pip in it, and has no pip to put one
there. Install its venv module (Debian, Ubuntu: apt install python3-venv) or uv."""


def main() -> None:
    """Bring the environment up to date, or find that it is."""
    arguments = parse()
    venv: Path = arguments.venv
    wanted = fingerprint(arguments.level, arguments.requirements)
    stamp = venv / ".complete"
    if is_python(venv, exact=arguments.exact):
        done = stamp.read_text().split() if stamp.exists() else []
        if wanted in done:
            return
    else:
        shutil.rmtree(venv, ignore_errors=True)
        done = []

    stamp.unlink(missing_ok=True)
    started_s = time.monotonic()
    content = arguments.level or arguments.requirements
    print(f"setting up {venv} ({content})", flush=True)
    what = (
        ["--requirement", str(arguments.requirements)]
        if arguments.requirements
        else LEVELS[arguments.level]
    )
    if uv := runnable_uv():
        install_with_uv(uv, venv, what)
    else:
        install_with_pip(venv, what)

    # `dev` holds all that `run` has.
    also = {fingerprint("run", None)} if arguments.level == "dev" else set()
    stamp.write_text("\n".join({wanted, *also}))
    print(f"{venv} is ready ({time.monotonic() - started_s:.0f} s)", flush=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="make it anew if it has another Python than the one that runs this",
    )
    content = parser.add_mutually_exclusive_group(required=True)
    content.add_argument("--level", choices=LEVELS)
    content.add_argument("--requirements", type=Path, help="a requirements file")
    return parser.parse_args()


def fingerprint(level: str | None, requirements: Path | None) -> str:
    """Name what is to be installed, so that a change of it is seen."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    digest.update((level or "").encode())
    if requirements:
        digest.update(requirements.read_bytes())

    return digest.hexdigest()[:24]


def is_python(venv: Path, *, exact: bool) -> bool:
    """Tell whether the environment has a Python that runs, and the right one."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        version = subprocess.check_output([python_of(venv), "-c", code], text=True)
    except (OSError, subprocess.CalledProcessError):
        return False

    return not exact or version.strip() == "{}.{}".format(*sys.version_info[:2])


def python_of(venv: Path) -> str:
    """Find the environment's interpreter."""
    return str(venv / "bin" / "python")


def runnable_uv() -> str | None:
    """Find uv, and not a shim that stands for nothing."""
    if os.environ.get("SETUP_WITH") == "pip":
        return None

    uv = shutil.which("uv")
    return uv if uv and succeeds([uv, "--version"]) else None


def install_with_uv(uv: str, venv: Path, what: list[str]) -> None:
    """Make the environment and fill it, by uv."""
    if not venv.exists():
        run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)])

    run([uv, "pip", "install", "--quiet", "--python", python_of(venv), *what])


def install_with_pip(venv: Path, what: list[str]) -> None:
    """Make the environment and fill it, by the standard library's venv and pip."""
    if not venv.exists():
        make_with_venv(venv)

    pip = [python_of(venv), "-m", "pip", "install", "--quiet"]
    run([*pip, "--upgrade", PIP_WITH_GROUPS])
    run([*pip, *what])


def make_with_venv(venv: Path) -> None:
    """Make the environment; Debian's Python without python3-venv lends its own pip."""
    make = [sys.executable, "-m", "venv"]
    if succeeds([*make, str(venv)]):
        return

    shutil.rmtree(venv, ignore_errors=True)
    lend = [sys.executable, "-m", "pip", "--python", python_of(venv), "install", "-q"]
    try:
        run([*make, "--without-pip", str(venv)])
        run([*lend, PIP_WITH_GROUPS])
    except subprocess.CalledProcessError:
        shutil.rmtree(venv, ignore_errors=True)
        sys.exit(NO_VENV)


def succeeds(command: list[str]) -> bool:
    """Tell whether *command* ends well; what it prints is not shown."""
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def run(command: list[str]) -> None:
    """Run *command* in the checkout; what it prints is shown."""
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"failed: {' '.join(error.cmd)}")
