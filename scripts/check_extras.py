"""
Checks that extras agree, whatever the order in which they are installed.

`pairs` installs every two extras one after the other, in both orders, into throw-away
environments, and asks for broken requirements. `bounds` installs the lowest and the
highest versions that are allowed and sees that the two lines of OpenTelemetry pair.
`top` says when the top of OpenTelemetry's range can be raised.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [name for name in PROJECT["optional-dependencies"] if name != "all"]
RANGE = re.compile(r"(opentelemetry-[\w-]+)>=([\w.]+),<=([\w.]+)$")


class Environment:
    """
    A throw-away virtual environment.

    Args:
        path: Where it is made.
        installer: `uv` or `pip`; pip's resolver is the slower, and users'.
    """

    def __init__(self, path: Path, installer: str) -> None:
        self._python = str(path / "bin" / "python")
        if installer == "uv":
            call("uv", "venv", "--quiet", "--python", sys.executable, str(path))
            self._pip = ["uv", "pip"]
            self._where = ["--python", self._python]
        else:
            call(sys.executable, "-m", "venv", str(path))
            self._pip = [self._python, "-m", "pip"]
            self._where = []

    def install(self, *what: str) -> None:
        """Install requirements on top of what is there."""
        call(*self._pip, "install", "--quiet", *self._where, *what)

    def broken(self) -> str:
        """Return what is missing or at odds, or nothing."""
        done = subprocess.run(
            [*self._pip, "check", *self._where],
            check=False,
            capture_output=True,
            text=True,
        )
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()

    def available(self, package: str) -> set[str]:
        """Return the versions that the index has, pre-releases too; none if offline."""
        done = subprocess.run(
            [self._python, "-m", "pip", "index", "versions", "--pre", package],
            check=False,
            capture_output=True,
            text=True,
        )
        match = re.search(r"Available versions: (.*)", done.stdout)
        return set(match[1].split(", ")) if match else set()

    def version(self, package: str) -> str:
        """Return the version of *package* that is installed."""
        code = f"from importlib.metadata import version; print(version({package!r}))"
        return call(self._python, "-c", code).strip()

    def run_json(self, code: str) -> object:
        """Run *code*, which prints JSON, and read it."""
        return json.loads(call(self._python, "-c", code))


def runnable_uv() -> bool:
    """Tell whether uv is there, and not a shim that stands for nothing."""
    try:
        done = subprocess.run(["uv", "--version"], check=False, capture_output=True)
    except FileNotFoundError:
        return False

    return done.returncode == 0


def call(*command: str) -> str:
    """Run *command* and return what it printed; what it complained of if it failed."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")

    return done.stdout


def build_wheel(directory: Path) -> Path:
    """Build the package's wheel into *directory*, with what is there to build with."""
    if runnable_uv():
        call(
            "uv", "build", "--quiet", "--wheel", "--out-dir", str(directory), str(ROOT)
        )
    else:
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        call(*pip, "--wheel-dir", str(directory), str(ROOT))

    return next(directory.glob("svcready-*.whl"))


def requirements() -> list[str]:
    """List all that the package and its extras require."""
    extras = [PROJECT["optional-dependencies"][extra] for extra in EXTRAS]
    return list(itertools.chain(PROJECT["dependencies"], *extras))


def opentelemetry_ranges() -> dict[str, tuple[str, str]]:
    """Read each OpenTelemetry requirement that shares the range: name, low, high."""
    matches = filter(None, map(RANGE.match, requirements()))
    return {match[1]: (match[2], match[3]) for match in matches}


def check_pairs(wheel: str, installer: str, extras: list[str], jobs: int) -> list[str]:
    """Install every two of *extras* one after the other, in both orders."""
    orders = list(itertools.permutations(extras, 2))
    # And one by one, from the first to the last and back.
    orders += [tuple(extras), tuple(reversed(extras))]  # type: ignore[list-item]

    def check(order: tuple[str, ...]) -> str:
        with tempfile.TemporaryDirectory(prefix="extras-") as directory:
            environment = Environment(Path(directory, "venv"), installer)
            for extra in order:
                environment.install(f"svcready[{extra}] @ file://{wheel}")

            return environment.broken()

    with ThreadPoolExecutor(jobs) as pool:
        results = dict(zip(orders, pool.map(check, orders), strict=True))

    print(f"{len(orders)} orders of {len(extras)} extras with {installer}")
    return [f"{' then '.join(o)}: {text}" for o, text in results.items() if text]


def check_bounds(wheel: str) -> list[str]:
    """Install the lowest and the highest versions; both lines must pair in each."""
    ranges = opentelemetry_ranges()
    problems = []
    for end, resolution in enumerate(("lowest-direct", "highest")):
        with tempfile.TemporaryDirectory(prefix="extras-") as directory:
            environment = Environment(Path(directory, "venv"), "uv")
            # Bounds count as direct only where they are asked for directly.
            environment.install(
                f"--resolution={resolution}",
                f"svcready[all] @ file://{wheel}",
                *requirements(),
            )
            found = {name: environment.version(name) for name in ranges}
            problems += [
                f"{resolution}: {name} is {found[name]}, not {bounds[end]}"
                for name, bounds in ranges.items()
                if found[name] != bounds[end]
            ]
            if broken := environment.broken():
                problems.append(f"{resolution}: {broken}")

    print("lowest and highest versions of everything")
    return problems


def check_top() -> None:
    """Say whether every package of `instrument` has a release above the top."""
    instrument = [
        name
        for name in opentelemetry_ranges()
        if name.startswith("opentelemetry-instrumentation-")
    ]
    with tempfile.TemporaryDirectory(prefix="extras-") as directory:
        pip = Environment(Path(directory, "venv"), "pip")
        newest = {name: pip.available(name) for name in instrument}

    if not all(newest.values()):
        print("the package index does not answer: OpenTelemetry's top not compared")
        return

    top = opentelemetry_ranges()[instrument[0]][1]
    common: str = max(set.intersection(*newest.values()), key=release)
    if release(common) > release(top):
        print(f"::notice::OpenTelemetry's top can be raised from {top} to {common}")
    else:
        best = max(set.union(*newest.values()), key=release)
        late = sorted(name for name, has in newest.items() if best not in has)
        print(f"OpenTelemetry's top, {top}, is the newest that all have", end="")
        print(f"; {best} is missing for {', '.join(late)}" if late else "")


def release(version: str) -> tuple[int, ...]:
    """Order versions such as 1.45.1 and 0.66b1."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def main() -> None:
    """Run the checks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", nargs="+", choices=["pairs", "bounds", "top"])
    parser.add_argument("--wheel", type=Path, help="built anew if not given")
    parser.add_argument("--installer", choices=["uv", "pip"], default="uv")
    parser.add_argument("--extras", nargs="*", default=EXTRAS, choices=EXTRAS)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="wheel-") as directory:
        wheel = arguments.wheel or build_wheel(Path(directory))
        problems = check(arguments, str(wheel.resolve()))

    if problems:
        sys.exit("\n".join(problems))


def check(arguments: argparse.Namespace, wheel: str) -> list[str]:
    """Run the checks asked for and return what is wrong."""
    installer = arguments.installer
    if installer == "uv" and not runnable_uv():
        installer = "pip"

    problems = []
    if "pairs" in arguments.checks:
        problems += check_pairs(wheel, installer, arguments.extras, arguments.jobs)

    if "bounds" in arguments.checks and runnable_uv():
        problems += check_bounds(wheel)

    if "top" in arguments.checks:
        check_top()

    return problems


if __name__ == "__main__":
    main()
