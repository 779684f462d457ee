"""Logfire sending to another collector, as its documentation on alternatives says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import logfire

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI


def start_logfire(app: FastAPI, sampled: float) -> Callable[[], object]:
    """Configure and instrument; the endpoint comes from the environment."""
    logfire.configure(
        service_name="orders",
        service_version="1.4.2",
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        sampling=logfire.SamplingOptions(head=sampled),
    )
    logfire.instrument_fastapi(app)
    return logfire.force_flush
