"""A process of a service, whose one breaker sees what standard input says."""

from __future__ import annotations

import json
import sys

import svcready
from svcready._runtime import current
from svcready.errors import CircuitOpen


def main() -> None:
    """Do what each line says, and print how the breaker stands."""
    payments = svcready.circuit_breaker("payments", min_calls=4)
    svcready.init(service=sys.argv[1])
    runtime = current()
    assert runtime is not None
    runtime.work()
    for line in sys.stdin:
        for outcome in line.split():
            try:
                payments.call(divmod, 1, int(outcome == "ok"))
            except (ZeroDivisionError, CircuitOpen):
                pass

        resilience = runtime.resilience
        shared = None if resilience is None else resilience.shared
        gossip = None if shared is None else shared.gossip
        told = {
            "state": payments.state,
            "reason": payments.breaker.reason,
            "counts": None if gossip is None else dict(gossip.counts()),
            "up": gossip is not None and gossip.contact.is_up,
            "problems": runtime.problems(),
        }
        print("peer", json.dumps(told), flush=True)

    svcready.shutdown(1.0)


main()
