from __future__ import annotations

import json
import subprocess
import sys

from tests.servers.harness import ROOT, Service
from tests.servers.matrix import Stack

SCRIPT = """
import json, os, sys
import svcready
from svcready._runtime import current
from prometheus_client.parser import text_string_to_metric_families

orders = svcready.counter("orders", "Orders", labels=("kind",))
sizes = svcready.histogram("sizes", "Sizes", buckets=(1, 10))
svcready.init(service="orders")
for _ in range(5):
    orders.labels("retail").inc()
    sizes.observe(3)

def total(name):
    page = current().metrics.prometheus.render(None, None, ())[2].decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    )

inside, outside = os.pipe()
pid = os.fork()
orders.labels("retail").inc(10 if pid else 100)
sizes.observe(3)
seen = {
    "orders": total("orders_total"),
    "sizes": total("sizes_count"),
    "instance": current().identity.instance,
}
if pid == 0:
    os.write(outside, json.dumps(seen).encode())
    os._exit(0)

os.waitpid(pid, 0)
child = json.loads(os.read(inside, 65536))
print(json.dumps({"parent": seen, "child": child}), file=sys.stderr)
"""


def test_totals_before_a_fork_count_once() -> None:
    """
    What was counted before a fork is in the parent's page only, and what came after
    is in that of the process where it happened; the two have instances of their own.
    """
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
        timeout=30,
    )

    seen = json.loads(done.stderr.splitlines()[-1])
    assert (seen["parent"]["orders"], seen["child"]["orders"]) == (15, 100)
    assert (seen["parent"]["sizes"], seen["child"]["sizes"]) == (6, 1)
    assert seen["parent"]["instance"] != seen["child"]["instance"]


def test_nothing_is_doubled_at_a_fork(service: Service, stack: Stack) -> None:
    """
    Whatever the server forks, and when, the totals over all workers hold each thing
    once: a count at import in each process that imported, a request where it ran.
    """
    imported = 1 if "--preload" in stack.command else stack.workers
    assert service.total("test_imports_total") == imported
    before = service.total(
        "http_server_request_duration_seconds_count",
        http_route=stack.template("/orders/{order_id}"),
        http_response_status_code="200",
    )

    for pid in service.worker_pids():
        service.on_worker(pid, "/orders/1")

    after = service.total(
        "http_server_request_duration_seconds_count",
        http_route=stack.template("/orders/{order_id}"),
        http_response_status_code="200",
    )
    assert after - before == stack.workers
    assert service.total("svcready_internal_errors_total") == 0
    assert service.total("http_server_active_requests") == 0
