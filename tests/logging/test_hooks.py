from __future__ import annotations

import pytest

from tests.logging.support import run_script

UNRAISABLE = """
pillar = start()

class Held:
    def __del__(self):
        raise ValueError("in __del__")

held = Held()
del held
"""


def test_what_python_can_not_raise_is_a_line() -> None:
    """An exception in a destructor has nobody to go to."""
    (line,), stderr = run_script(UNRAISABLE)

    assert line["level"] == "ERROR"
    assert line["message"].lower().startswith("exception ignored")
    assert line["context"]["object"] == "__main__.Held.__del__"
    assert line["error"]["message"] == "in __del__"
    assert line["source"]["function"] == "Held.__del__"
    assert stderr == ""


OTHERS = """
import sys, warnings
sys.unraisablehook = lambda args: print("theirs", args.exc_value, file=sys.stderr)
warnings.showwarning = lambda *args: print("theirs", args[0], file=sys.stderr)
before = sys.unraisablehook, warnings.showwarning
pillar = start()

class Held:
    def __del__(self):
        raise ValueError("in __del__")

Held()
warnings.warn("careful")
pillar.close()
assert (sys.unraisablehook, warnings.showwarning) == before
"""


def test_hooks_set_before_are_called_and_put_back() -> None:
    """An error tracker hears of warnings and of what can't be raised."""
    lines, stderr = run_script(OTHERS)

    assert [line["level"] for line in lines] == ["ERROR", "WARN"]
    assert stderr.splitlines() == ["theirs in __del__", "theirs careful"]


AFTER = """
import sys, threading, warnings
pillar = start()
hooks = []
for owner, name in (
    (sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook"),
    (warnings, "showwarning"),
):
    def hook(*args, before=getattr(owner, name)):
        before(*args)
    hooks.append((owner, name, hook))
    setattr(owner, name, hook)

warnings.warn("careful")
pillar.close()
assert all(getattr(owner, name) is hook for owner, name, hook in hooks)
warnings.warn("after us")
"""


def test_hooks_set_after_ours_stay_when_we_go() -> None:
    """They call ours, which by then does what Python did before us."""
    (line,), stderr = run_script(AFTER)

    assert line["message"] == "careful"
    assert "UserWarning: after us" in stderr


WARNINGS = """
import logging, warnings
logging.captureWarnings({before})
pillar = start()
logging.captureWarnings(True)  # as Celery does

def old():
    warnings.warn("it is old", DeprecationWarning, stacklevel=2)

for _ in range(3):
    old()

warnings.simplefilter("always")
old()
warnings.simplefilter("ignore")
old()
pillar.close()
"""


@pytest.mark.parametrize("before", [True, False])
def test_a_warning_is_said_as_often_as_pythons_filters_say(before: bool) -> None:
    """Once for a place by default; structured, whoever captures warnings."""
    lines, stderr = run_script(WARNINGS.format(before=before))

    assert [line["message"] for line in lines] == ["it is old"] * 2
    assert {line["context"]["category"] for line in lines} == {"DeprecationWarning"}
    assert stderr == ""


EXITS = """
import sys, threading
pillar = start()
for error in (SystemExit(1), KeyboardInterrupt()):
    def stop():
        raise error
    thread = threading.Thread(target=stop)
    thread.start()
    thread.join()

sys.exit("no database")
"""


def test_exits_are_pythons_business() -> None:
    """A thread that exits says nothing, an interrupt and a last word are Python's."""
    lines, stderr = run_script(EXITS)

    assert lines == []
    assert "SystemExit" not in stderr
    assert "KeyboardInterrupt" in stderr
    assert stderr.endswith("no database\n")


CANCELLED = """
import asyncio, threading
pillar = start()

async def cancelled():
    raise asyncio.CancelledError("gone")

thread = threading.Thread(target=lambda: asyncio.run(cancelled()), name="t1")
thread.start()
thread.join()
"""


def test_a_thread_that_dies_of_a_cancellation_is_a_line() -> None:
    """CancelledError is no Exception, and yet nobody asked the process to end."""
    (line,), stderr = run_script(CANCELLED)

    assert line["message"] == "uncaught exception in thread t1"
    assert line["error"]["type"] == "asyncio.exceptions.CancelledError"
    assert stderr == ""


BROKEN = """
import sys
pillar = start()
sys.stderr.write("")
from svcready.logging._sources import _hooks
def fail(*args):
    raise OSError("no line")
_hooks.write_error = fail
raise RuntimeError("the end")
"""


def test_an_exception_that_could_not_be_written_is_pythons() -> None:
    """Rather text on standard error than nothing."""
    _, stderr = run_script(BROKEN)

    assert "RuntimeError: the end" in stderr


ASYNCIO = """
import asyncio, gc, sys, time
pillar = start()

async def fail():
    raise ValueError("in a task")

def call():
    raise KeyError("in a callback")

async def main():
    loop = asyncio.get_running_loop()
    {handler}
    task = asyncio.create_task(fail(), name="worker-7")
    loop.call_soon(call)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
    if loop.get_debug():
        time.sleep(0.11)  # blocks the loop: that is what it warns of
        await asyncio.sleep(0)

asyncio.run(main(), debug={debug})
"""


@pytest.mark.parametrize("debug", [True, False], ids=["debug", "usual"])
def test_what_an_event_loop_complains_of_is_structured(debug: bool) -> None:
    """Its message is one line, the task and the callback are fields."""
    lines, stderr = run_script(ASYNCIO.format(handler="", debug=debug))
    by_type = {line["error"]["type"]: line for line in lines if "error" in line}

    task, callback = by_type["ValueError"], by_type["KeyError"]
    assert task["message"] == "Task exception was never retrieved"
    assert task["source"]["logger"] == "asyncio"
    assert "name='worker-7'" in task["context"]["future"]
    assert "\n" not in callback["message"]
    assert "call" in callback["context"]["handle"]
    assert ("source_traceback" in task["context"]) is debug
    if debug:
        assert "line" in task["context"]["source_traceback"]
        assert any("took 0.1" in line["message"] for line in lines)
    else:
        assert len(lines) == 2

    assert stderr == ""


OWN = """loop.set_exception_handler(
        lambda loop, context: get_logger("shop").error(
            "the loop", exc_info=context.get("exception")
        )
    )"""


def test_an_own_exception_handler_of_the_loop_is_left_alone() -> None:
    """What it says comes out once, as it says it."""
    lines, stderr = run_script(ASYNCIO.format(handler=OWN, debug=False))

    assert [line["message"] for line in lines] == ["the loop"] * 2
    assert {line["error"]["type"] for line in lines} == {"ValueError", "KeyError"}
    assert stderr == ""
