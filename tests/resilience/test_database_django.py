"""Django's transactions under a policy and a deadline, on a real PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.architecture.house import ROOT


def test_django(postgres_server: str) -> None:
    """
    A transaction is retried as a whole or not at all, and ends with the deadline.

    The retry around `atomic` saves the transfer that lost a deadlock, the one inside
    leaves it alone. What limits statements is there in and out of `atomic`, survives
    savepoints, and is gone afterwards.
    """
    ran = subprocess.run(
        [sys.executable, "-m", "tests.resilience.django_databases", postgres_server],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "outside": {"visits": 3, "raised": []},
        "inside": {"visits": 2, "raised": ["OperationalError"]},
        "autocommit": True,
        "atomic": True,
        "after a savepoint": True,
        "in transaction": True,
        "after": 0.0,
        "lifted": 0.0,
        "next": 0.0,
        "cancelled": ["canceling statement due to statement ti", False],
        "in time": True,
        "usable": 1,
        "undone": 0.0,
    }
