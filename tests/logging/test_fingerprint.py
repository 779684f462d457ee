from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

SRC = Path(__file__).resolve().parents[2] / "src"
PYTHONS = sorted(
    python
    for minor in (11, 12, 13)
    for python in Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python")
)
"""Other Pythons on this machine; they run the files that need nothing installed."""

APP = """
import json, re

class Shop:
    def read(self, data):
        return [item["price"] for item in data]

    def nested(self, data):
        return {k: [(lambda: row["price"])() for row in rows] for k, rows in data}

    def lazily(self, data):
        return sum(item["price"] for item in data)

def in_function(data):
    def inner():
        return {item["price"] for item in data}
    return inner()

def by_lambda(data):
    return list(map(lambda item: item["price"], data))

def parse(data):
    return json.loads("{")

def compile_(data):
    return re.compile("(")

def deep(data, depth=30):
    return deep(data, depth - 1) if depth else data[0]["price"]

FAILURES = [
    Shop().read, lambda data: Shop().nested([("a", data)]), Shop().lazily,
    in_function, by_lambda, parse, compile_, deep,
]
"""

PRINT = """
import sys
sys.path[:0] = [{src!r}, {root!r}]
import types
stub = types.ModuleType("orjson")  # not on the way of a fingerprint
sys.modules["orjson"] = stub
from svcready._core.redaction import Redactor
from svcready.logging._lines._errors import ErrorTexts
import shop.app
for failure in shop.app.FAILURES:
    try:
        failure([{{}}])
    except Exception as error:
        print(ErrorTexts(Redactor(enabled=False), 100).fields(error)["fingerprint"])
"""


def install(root: Path, code: str) -> Path:
    """Write the application below *root*."""
    package = root / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "app.py").write_text(code)
    return root


def run(python: str | Path, code: str, env: Mapping[str, str] | None = None) -> str:
    """Run *code* and return what it printed."""
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fingerprints(python: str | Path, root: Path) -> list[str]:
    """Return those of the application's failures, in order."""
    return run(python, PRINT.format(src=str(SRC), root=str(root))).split()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the fingerprints under this Python."""
    return fingerprints(sys.executable, install(tmp_path_factory.mktemp("a"), APP))


def test_different_places_differ(here: list[str]) -> None:
    """One for each of the failures, most of which are a KeyError."""
    assert len(here) == len(set(here)) == 8


@pytest.mark.parametrize("python", PYTHONS, ids=lambda python: python.parts[-3])
def test_the_same_under_every_python(
    python: Path, here: list[str], tmp_path: Path
) -> None:
    """
    Comprehensions have a frame of their own up to Python 3.11, and `re.error` has
    another name from 3.13 on.
    """
    assert fingerprints(python, install(tmp_path, APP)) == here


def test_the_same_in_another_place_and_after_an_edit(
    here: list[str], tmp_path: Path
) -> None:
    """Lines that move and the directory of the deployment count for nothing."""
    edited = "# A comment.\n\nLIMIT = 3\n" + APP.replace("class Shop", "\n\nclass Shop")
    root = install(tmp_path / "srv" / "container", edited)

    assert fingerprints(sys.executable, root) == here


def test_the_same_with_other_libraries_around(here: list[str], tmp_path: Path) -> None:
    """Frames of installed packages and of Python are not the application's."""
    library = tmp_path / "lib" / "site-packages"
    library.mkdir(parents=True)
    (library / "wrapper.py").write_text("def call(f, *args):\n    return f(*args)\n")
    wrapped = APP.replace(
        "return json.loads", "import wrapper; return wrapper.call(json.loads, "
    ).replace('json.loads, ("{")', 'json.loads, "{")')
    assert wrapped != APP
    root = install(tmp_path / "app", wrapped)

    code = PRINT.format(src=str(SRC), root=str(root))
    found = run(sys.executable, f"import sys; sys.path.append({str(library)!r}){code}")

    assert found.split() == here


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_an_application_that_is_installed_is_known_by_its_logger(
    known: bool, here: list[str], tmp_path: Path
) -> None:
    """In a wheel the application stands among the libraries."""
    logger = "from svcready.logging import get_logger\nget_logger(__name__)\n"
    # Libraries alone count as well where no frame is known to be the application's.
    call = "import wrapper; return wrapper.call(json.loads, "
    code = APP.replace("return json.loads(", call)
    root = tmp_path / "venv" / "site-packages"
    install(root, (logger if known else "") + code)
    (root / "wrapper.py").write_text("def call(f, *args):\n    return f(*args)\n")

    assert (fingerprints(sys.executable, root) == here) is known


def test_a_program_is_known_by_its_own_name(tmp_path: Path) -> None:
    """As a script, as a module and imported by a server it is the same."""
    (tmp_path / "main.py").write_text(
        textwrap.dedent(
            """
            class Oops(Exception):
                pass

            def fail():
                from svcready._core.redaction import Redactor
                from svcready.logging._lines._errors import ErrorTexts
                try:
                    raise Oops
                except Oops as error:
                    texts = ErrorTexts(Redactor(enabled=False), 100)
                    print(texts.fields(error)["fingerprint"])

            if __name__ == "__main__":
                fail()
            """
        )
    )
    found = {
        subprocess.run(
            [sys.executable, *how],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout
        for how in (["main.py"], ["-m", "main"], ["-c", "import main; main.fail()"])
    }

    assert len(found) == 1
    assert len(found.pop().strip()) == 16
