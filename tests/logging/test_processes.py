from __future__ import annotations

from tests.logging.support import run_script

CRASHES = """
import logging, threading, warnings
pillar = start()
warnings.warn("careful")
thread = threading.Thread(target=lambda: 1 / 0, name="t1")
thread.start()
thread.join()
raise RuntimeError("the end")
"""


def test_a_crash_is_said_once_and_as_a_line() -> None:
    """Warnings, a dead thread and the last exception: lines, and nothing on stderr."""
    lines, stderr = run_script(CRASHES)

    assert [(line["level"], line["message"]) for line in lines] == [
        ("WARN", "careful"),
        ("ERROR", "uncaught exception in thread t1"),
        ("FATAL", "uncaught exception"),
    ]
    assert lines[1]["error"]["type"] == "ZeroDivisionError"
    assert lines[2]["error"]["message"] == "the end"
    assert stderr == ""


CHAINED = """
import sys, threading
sys.excepthook = lambda *args: print("theirs", args[1], file=sys.stderr)
threading.excepthook = lambda args: print("theirs", args.exc_value, file=sys.stderr)
pillar = start()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("the end")
"""


def test_hooks_of_others_are_called_as_well() -> None:
    """An error tracker that set its hook before us still hears of everything."""
    lines, stderr = run_script(CHAINED)

    assert len(lines) == 2
    assert stderr.splitlines() == ["theirs division by zero", "theirs the end"]


INTERRUPTED = "pillar = start()\nraise KeyboardInterrupt\n"


def test_an_interrupt_is_not_an_error() -> None:
    """Ctrl-C is left to Python."""
    lines, stderr = run_script(INTERRUPTED)

    assert lines == []
    assert "KeyboardInterrupt" in stderr


FORKED = """
import os, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of threads at fork: the point here
pillar = start(delivery="async")
log = get_logger("shop")
for i in range(200):
    log.info("parent", i=i)

pid = os.fork()
if pid == 0:
    for i in range(200):
        log.info("child", i=i)

    ok = pillar.flush(5)
    os._exit(0 if ok else 1)

assert os.waitpid(pid, 0)[1] == 0
assert pillar.flush(5)
"""


def test_a_fork_loses_and_doubles_nothing() -> None:
    """What the parent had queued is the parent's; the child's is the child's."""
    lines, stderr = run_script(FORKED)

    seen = [(line["message"], line["context"]["i"]) for line in lines]
    assert stderr == ""
    assert sorted(seen) == [(who, i) for who in ("child", "parent") for i in range(200)]
    for who in ("child", "parent"):
        assert [i for w, i in seen if w == who] == list(range(200))
