"""What an application wrote for the X-Ray SDK, which knows of nothing else."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import requests
from aws_xray_sdk.core import patch_all, xray_recorder

patch_all()
xray_recorder.configure(service="orders", sampling=False)
pool = ThreadPoolExecutor(2)


@xray_recorder.capture("find price")  # type: ignore[untyped-decorator]
def find_price(item: str) -> int:
    xray_recorder.put_annotation("item", item)
    xray_recorder.put_metadata("asked", {"item": item}, "shop")
    connection = sqlite3.connect(":memory:")
    connection.execute("SELECT 1")
    connection.close()
    return 9


def ship(item: str) -> list[str]:
    parent = xray_recorder.get_trace_entity()

    def part(name: str) -> str:
        xray_recorder.set_trace_entity(parent)
        with xray_recorder.in_subsegment(f"pack {name}"):
            pass

        xray_recorder.clear_trace_entities()
        return name

    return list(pool.map(part, [f"{item} 1", f"{item} 2"]))


def pay() -> int:
    with xray_recorder.in_subsegment("payments", namespace="remote") as subsegment:
        try:
            raise ConnectionError("declined")
        except ConnectionError as error:
            subsegment.add_exception(error, [])

    url = os.environ["PAYMENTS_URL"]
    return requests.get(url, timeout=5).status_code
