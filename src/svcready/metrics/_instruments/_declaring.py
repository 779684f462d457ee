"""What applications declare their metrics with: a function for each instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._instruments._register import Declarer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from svcready.metrics._instruments._histograms import Histogram
    from svcready.metrics._instruments._instrument import Counter
    from svcready.metrics._instruments._levels import Gauge, UpDownCounter
    from svcready.metrics._instruments._names import Workers
    from svcready.metrics._instruments._timer import Timer

__all__ = ["counter", "gauge", "histogram", "timer", "up_down_counter"]

_application = Declarer("application")


def counter(
    name: str,
    help: str,  # noqa: A002 - the word of every metrics library
    *,
    labels: Sequence[str] = (),
    unit: str = "",
) -> Counter:
    """
    Declare a counter: a total that only rises.

    It counts from here on; sinks read it once the service is initialised.

    Args:
        name: In base form, letters, digits, `_` and `.`; a trailing `_total` or word
            of the unit is dropped, because each sink adds its own.
        help: What is counted, in one line.
        labels: Names of labels; give values by `.labels(...)`, few different ones.
        unit: UCUM code: `By`, `s`, `1`, `{request}`; none for things counted.

    Returns:
        The counter; the same one for an identical declaration.

    Raises:
        DeclarationError: A sink could not take the name, labels or unit, or the name
            is declared differently elsewhere; the message shows both places.
    """
    return _application.counter(name, help, labels=labels, unit=unit)


def up_down_counter(
    name: str,
    help: str,  # noqa: A002
    *,
    labels: Sequence[str] = (),
    unit: str = "",
) -> UpDownCounter:
    """
    Declare an up-down counter: a sum of what was added and taken away.

    For what a process itself adds to and takes from: requests in flight, items in a
    queue of its own. Several worker processes are always one sum. On Prometheus it is
    a gauge, on OpenTelemetry a sum that is not monotonic.

    Args:
        name: In base form, letters, digits, `_` and `.`; a trailing word of the unit
            is dropped, because each sink adds its own.
        help: What is counted, in one line.
        labels: Names of labels; give values by `.labels(...)`, few different ones.
        unit: UCUM code: `{request}`, `By`; none for things counted.

    Returns:
        The up-down counter; the same one for an identical declaration.

    Raises:
        DeclarationError: A sink could not take the name, labels or unit, or the name
            is declared differently elsewhere; the message shows both places.
    """
    return _application.up_down_counter(name, help, labels=labels, unit=unit)


def gauge(
    name: str,
    help: str,  # noqa: A002
    *,
    labels: Sequence[str] = (),
    unit: str = "",
    workers: Workers = "sum",
) -> Gauge:
    """
    Declare a gauge: a level that is set, or observed by a function.

    Set it, or have it observe a function at each reading by `set_function`. A level
    that the process only adds to and takes from is an `up_down_counter`.

    Args:
        name: In base form, letters, digits, `_` and `.`; a trailing word of the unit
            is dropped, because each sink adds its own.
        help: What is measured, in one line.
        labels: Names of labels; give values by `.labels(...)`, few different ones.
        unit: UCUM code: `By`, `s`, `1`, `{connection}`.
        workers: What the values of several worker processes are together. `sum` for
            what each process has of its own (connections of its pool); `latest` for
            what each reads of one thing that all share (the depth of a broker's
            queue); `max` for the worst of them (the oldest item's age) and `min` for
            the scarcest (days until a certificate ends); `pid` to see each process,
            as a series with its `pid`.

    Returns:
        The gauge; the same one for an identical declaration.

    Raises:
        DeclarationError: A sink could not take the name, labels or unit, *workers* is
            none of these, or the name is declared differently elsewhere; the message
            shows both places.
    """
    return _application.gauge(name, help, labels=labels, unit=unit, workers=workers)


def histogram(
    name: str,
    help: str,  # noqa: A002
    *,
    labels: Sequence[str] = (),
    unit: str = "",
    buckets: Iterable[float] | None = None,
) -> Histogram:
    """
    Declare a histogram: a distribution of values over buckets.

    Args:
        name: In base form, letters, digits, `_` and `.`; a trailing word of the unit
            is dropped, because each sink adds its own.
        help: What is measured, in one line.
        labels: Names of labels; give values by `.labels(...)`, few different ones.
        unit: UCUM code of the values: `s`, `By`, `1`.
        buckets: Finite upper bounds, inclusive and rising; None takes OpenTelemetry's
            advice for the unit. `SVCREADY_BUCKETS__<NAME>` beats both.

    Returns:
        The histogram; the same one for an identical declaration.

    Raises:
        DeclarationError: A sink could not take the name, labels, unit or buckets, or
            the name is declared differently elsewhere; the message shows both places.
    """
    return _application.histogram(name, help, labels=labels, unit=unit, buckets=buckets)


def timer(
    name: str,
    help: str,  # noqa: A002
    *,
    labels: Sequence[str] = (),
    buckets: Iterable[float] | None = None,
) -> Timer:
    """
    Declare a timer: a histogram of seconds that times functions and blocks.

    ```python
    checkout = svcready.timer("checkout", "Time to check out")


    @checkout
    async def check_out(order): ...


    with checkout:
        ...
    ```

    It times plain functions, coroutines, generators and async generators for as long
    as they really run, errors included. One timer can be entered by many threads and
    tasks at once, and again inside itself.

    Args:
        name: In base form; a trailing `_seconds` is dropped, because each sink adds
            its own.
        help: What is timed, in one line.
        labels: Names of labels; children by `.labels(...)` decorate and time as well.
        buckets: Finite upper bounds in seconds, inclusive and rising; None takes
            OpenTelemetry's advice. `SVCREADY_BUCKETS__<NAME>` beats both.

    Returns:
        The timer; the same one for an identical declaration.

    Raises:
        DeclarationError: A sink could not take the name, labels or buckets, or the
            name is declared differently elsewhere; the message shows both places.
    """
    return _application.timer(name, help, labels=labels, buckets=buckets)
