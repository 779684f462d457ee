"""Fork: what was counted before counts once, whoever is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.servers.harness import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import json, os, sys
import prometheus_client
import svcready
from svcready._runtime import current
from prometheus_client.parser import text_string_to_metric_families

NAMES = ("ours_total", "sizes_count", "theirs_total", "spread_sum", "level", "depth")
ours = svcready.counter("ours", "Ours")
sizes = svcready.histogram("sizes", "Sizes", buckets=(1, 10))
level = svcready.gauge("level", "Level")
depth = svcready.gauge("depth", "Depth", workers="latest")
theirs = prometheus_client.Counter("theirs", "Theirs")
spread = prometheus_client.Histogram("spread", "Spread", buckets=(1, 10))
run_dir = sys.argv[1]
runtime = svcready.init(service="forks", settings={"core.run_dir": run_dir})

def count(times):
    for _ in range(times):
        ours.inc(); sizes.observe(5); theirs.inc(); spread.observe(5)

def page():
    text = current().metrics.prometheus.render(None, None, ())[2].decode()
    seen = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in NAMES
    }
    seen["live"] = text.count('process_start_time_seconds{pid=')
    return seen

told = {}
count(5)
level.set(2)
depth.set(3)
told["alone"] = page()
told["groups"] = [name for name in os.listdir(run_dir) if "group" in name]
inside, outside = os.pipe()
go, gone = os.pipe()
pid = os.fork()
if pid == 0:  # of a pool, say: it counts for nobody, and the page stays as it is
    count(1)
    os._exit(0)

os.waitpid(pid, 0)
runtime.group.poll()
runtime.metrics.meet()
told["pool"] = page()
pid = os.fork()
if pid == 0:
    runtime.wake()
    depth.set(4)
    count(100)
    os.write(outside, b"x")
    page()
    os.read(go, 1)
    os.write(outside, json.dumps(page()).encode())
    os.read(go, 1)
    os._exit(0)

os.read(inside, 1)
runtime.group.poll()
runtime.metrics.meet()
count(10)
page()
os.write(gone, b"x")
told["child"] = json.loads(os.read(inside, 65536))
told["parent"] = page()
os.write(gone, b"x")
os.waitpid(pid, 0)
told["after"] = page()
print(json.dumps(told), file=sys.stderr)
"""


def test_totals_before_a_fork_count_once(tmp_path: Path) -> None:
    """
    A child tells what it counted itself and its parent the rest, of prometheus_client's
    metrics too; a process that is alone, or only has helpers, writes no file.
    """
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr.splitlines()[-1])

    def totals(who: str) -> tuple[float, ...]:
        page = told[who]
        assert page["spread_sum"] == 5 * page["theirs_total"]
        return page["ours_total"], page["sizes_count"], page["theirs_total"]

    assert told["groups"] == []
    assert totals("alone") == (5, 5, 5)
    assert told["pool"] == told["alone"]
    assert totals("child") == (115, 115, 115)
    assert totals("parent") == (115, 115, 115)
    assert totals("after") == (115, 115, 115)
    assert [told[who]["level"] for who in ("child", "parent", "after")] == [2, 2, 2]
    assert [told[who]["depth"] for who in ("child", "parent", "after")] == [4, 4, 4]
    assert [told[who]["live"] for who in ("alone", "parent", "after")] == [0, 2, 1]
