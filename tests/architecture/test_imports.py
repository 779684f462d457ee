"""What importing svcready does to a process: nothing."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.architecture.house import FRAMEWORKS, importable, run_clean, run_clean_json

DECLARATIONS = (
    "annotate",
    "audit",
    "circuit_breaker",
    "counter",
    "gauge",
    "get_logger",
    "health",
    "histogram",
    "limit",
    "policy",
    "retry",
    "span",
    "timer",
)
"""What users name at the top of their modules, before `init()`."""

TOO_HEAVY = ("asyncio", "boto3", "opentelemetry.sdk", "wrapt", *sorted(FRAMEWORKS))

WATCH = """
import atexit, collections.abc, gc, json, os, signal, sys, threading, warnings
import importlib, importlib.util, logging

OURS = importlib.util.find_spec("svcready").submodule_search_locations[0] + os.sep
done = []

def culprit():
    # The nearest frame of ours, unless another library stands in between: what that
    # does at its own import is not ours to answer for.
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(OURS):
            return f"{file}:{frame.f_lineno}"
        if "site-packages" in file or file.startswith("<frozen importlib"):
            return None
        frame = frame.f_back
    return None

def note(what):
    where = culprit()
    if where is not None:
        done.append(f"{what} by {where}")

class Watched(collections.abc.MutableMapping):
    def __init__(self, real): self.real = real
    def __getitem__(self, key): note(f"reads ${key}"); return self.real[key]
    def __setitem__(self, key, value): note(f"sets ${key}"); self.real[key] = value
    def __delitem__(self, key): note(f"removes ${key}"); del self.real[key]
    def __iter__(self): note("lists the environment"); return iter(self.real)
    def __len__(self): return len(self.real)
    def copy(self): note("copies the environment"); return self.real.copy()

def watched(owner, name):
    real = getattr(owner, name)
    def call(*args, **kwargs):
        note(f"calls {owner.__name__}.{name}")
        return real(*args, **kwargs)
    setattr(owner, name, call)

AUDITED = ("fcntl.", "os.", "shutil.", "signal.", "socket.", "sqlite3.", "subprocess.",
           "tempfile.")
READS = ("os.listdir", "os.scandir", "os.fspath")

def audit(event, args):
    if event == "open" and "site-packages" not in str(args[0]):
        if not str(args[0]).endswith((".py", ".pyc", ".so")):
            note(f"opens {args[0]}")
    elif event.startswith(AUDITED) and event not in READS:
        note(f"causes {event}")

def state():
    return {
        "threads": sorted(t.name for t in threading.enumerate()),
        "root handlers": [repr(h) for h in logging.getLogger().handlers],
        "logger class": repr(logging.getLoggerClass()),
        "record factory": repr(logging.getLogRecordFactory()),
        "excepthook": repr(sys.excepthook),
        "threading.excepthook": repr(threading.excepthook),
        "showwarning": repr(warnings.showwarning),
        "signals": [repr(signal.getsignal(s)) for s in signal.valid_signals()],
        "descriptors": len(os.listdir("/dev/fd")),
        "garbage collector": len(gc.callbacks),
    }

os.environ = Watched(os.environ)
watched(atexit, "register")
watched(os, "register_at_fork")
watched(signal, "signal")
watched(threading.Thread, "start")
sys.addaudithook(audit)

before = state()
for name in sys.argv[1].split():
    importlib.import_module(name)

after = state()
left = [f"{key}: {before[key]} became {after[key]}"
        for key in before if before[key] != after[key]]
print(json.dumps([done, left]))
"""

DECLARE = """
import json, sys
import svcready
there = set(getattr(svcready, "__all__", ()))
asked = [name for name in sys.argv[1].split() if name in there]
for name in asked:
    getattr(svcready, name)
print(json.dumps([asked, [m for m in sys.argv[2].split() if m in sys.modules]]))
"""


def test_importing_the_face_changes_nothing() -> None:
    """`import svcready` starts, opens, registers and reads nothing."""
    assert run_clean_json(WATCH, "svcready") == [[], []]


def test_declaring_has_no_effect() -> None:
    """
    Nor does a module that declares a logger, metrics, a check, policies and a span.

    What it declares is plain data that `init()` binds later.
    """
    assert run_clean_json(WATCH, "tests.architecture.declares") == [[], []]


@pytest.fixture(scope="module")
def effects() -> dict[str, object]:
    """Import each file in a process of its own, a few at a time."""

    def find(name: str) -> object:
        try:
            return run_clean_json(WATCH, name)
        except AssertionError as error:  # it could not be imported at all
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(importable(), pool.map(find, importable()), strict=True))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", importable())
def test_importing_a_file_has_no_effect_of_ours(
    name: str, effects: dict[str, object]
) -> None:
    """
    No file starts, opens, registers or reads anything when it is imported.

    A third-party library that a file needs may do so to itself (frameworks read the
    environment, asyncio hooks the fork): only what our lines cause is counted, and
    what is left behind in the process by whomever: threads, sockets, handlers, hooks.
    """
    assert effects[name] == [[], []]


def test_importing_the_face_imports_little() -> None:
    """`import svcready` brings none of the heavy libraries, nor a pillar of ours."""
    code = "import svcready, sys; print('|'.join(sorted(sys.modules)))"
    loaded = set(run_clean(code).strip().split("|"))

    assert loaded.isdisjoint(TOO_HEAVY)
    assert not {name for name in loaded if name.startswith("svcready.")}


def test_declaring_imports_nothing_heavy() -> None:
    """What users declare with costs no asyncio, wrapt, SDK or framework."""
    result = run_clean_json(DECLARE, " ".join(DECLARATIONS), " ".join(TOO_HEAVY))

    assert isinstance(result, list)
    _asked, heavy = result
    assert heavy == []
