"""Several processes of several threads that write to one pipe, and what they wrote."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCRIPT = """
import json, os, sys, threading
from pathlib import Path
from svcready._core import fork
from svcready._transport.stdout import STDOUT, Channel

options = json.loads(sys.argv[1])
fork.install()
if options["run_dir"]:
    STDOUT.meet_in(lambda: Path(options["run_dir"]))

exec(options["setup"])
channel = Channel(
    "test", delivery=options["delivery"], max_bytes=10**9, max_lines=10**7
)

def work(process, thread):
    sizes = options["sizes"][process % len(options["sizes"])]
    head = b"%d %d " % (process, thread)
    for i in range(options["lines"]):
        size = sizes[(i + thread) % len(sizes)]
        text = b"%d" % (i % 10) * size
        channel.write(b"%s%d %d %s\\n" % (head, i, size, text), 20)

def run(process):
    threads = [
        threading.Thread(target=work, args=(process, thread))
        for thread in range(options["threads"])
    ]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert channel.flush(100), channel.queued_lines
    assert not channel.dropped, channel.dropped

channel.write(b"0 99 0 0 \\n", 20)  # before the fork: the parent's
children = []
for process in range(options["processes"]):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run(process)
            status = 0
        finally:
            os._exit(status)

    children.append(pid)

status = [os.waitpid(pid, 0)[1] for pid in children]
assert not any(status), status
assert channel.flush(100), channel.queued_lines  # others may have had every turn
"""


@dataclass
class Seen:
    """What came out of the pipe, checked as it comes."""

    faults: list[str] = field(default_factory=list)
    next: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    _rest: bytes = b""

    def take(self, data: bytes) -> None:
        """Check the lines in *data*."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._check(line)

    def _check(self, line: bytes) -> None:
        try:
            process, thread, number, size, text = line.split(b" ")
            key = int(process), int(thread)
            i = int(number)
            whole = len(text) == int(size) and text == b"%d" % (i % 10) * len(text)
        except ValueError:
            whole = False

        if not whole:
            self.faults.append(f"torn: {line[:60]!r}... of {len(line)} bytes")
        else:
            if i != self.next[key]:
                self.faults.append(f"{key}: {i} instead of {self.next[key]}")

            self.next[key] = i + 1

    def check(self, processes: int, threads: int, lines: int) -> None:
        """Fail unless every line was there, whole, once and in order."""
        assert not self.faults, (len(self.faults), self.faults[:5])
        assert self._rest == b""
        expected = {(p, t): lines for p in range(processes) for t in range(threads)}
        assert dict(self.next) == {**expected, (0, 99): 1}


def swarm(
    *,
    run_dir: Path | None,
    processes: int,
    threads: int,
    lines: int,
    sizes: Sequence[Sequence[int]],
    delivery: str = "hybrid",
    setup: str = "",
    read_bytes: int = 1 << 20,
    start: Sequence[str] = (sys.executable, "-W", "ignore", "-c", SCRIPT),
) -> None:
    """
    Have processes write, read what they do, and check it.

    Args:
        run_dir: Where they meet.
        processes: How many are forked.
        threads: Of each.
        lines: Of each thread.
        sizes: Of the lines, in turn, of each process in turn.
        delivery: The channels'.
        setup: Code that each runs first.
        read_bytes: How much is read at once: little makes a slow reader.
        start: The command.
    """
    options = {
        "run_dir": str(run_dir or ""),
        "processes": processes,
        "threads": threads,
        "lines": lines,
        "sizes": [list(each) for each in sizes],
        "delivery": delivery,
        "setup": setup,
    }
    reader, writer = os.pipe()
    seen = Seen()
    with subprocess.Popen(
        [*start, json.dumps(options)], stdout=writer, stderr=subprocess.PIPE
    ) as running:
        os.close(writer)
        while True:
            assert select.select([reader], [], [], 100)[0], seen
            data = os.read(reader, read_bytes)
            if not data:
                break

            seen.take(data)

        assert running.stderr is not None
        said = running.stderr.read().decode()

    os.close(reader)
    assert running.returncode == 0, said
    seen.check(processes, threads, lines)
