"""What one run of a check says: pass, warn or fail, and why."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CheckResult", "fail", "judge", "judge_error", "warn"]

_STATUSES = frozenset({"pass", "warn", "fail"})
_MAX_RAW = 16_384


class CheckResult(NamedTuple):
    """The result that a check may return in place of None or True."""

    status: str
    """`pass`, `warn` or `fail`."""
    output: str = ""
    """Why, for people; secrets in it are hidden before it is shown."""
    observed: float | None = None
    """What was measured; None if it is how long the run took."""
    unit: str = ""
    """The unit of `observed`: `%`, `By`, `s`, `ms`, `1`."""


def warn(output: str = "") -> CheckResult:
    """
    Return the result of a check whose subject works, but not as it should.

    The service stays in rotation; its health reads `warn`.

    Args:
        output: Why, for people.
    """
    return CheckResult("warn", output)


def fail(output: str = "") -> CheckResult:
    """
    Return the result of a check whose subject does not work; the same as raising.

    Args:
        output: Why, for people.
    """
    return CheckResult("fail", output)


def judge(value: object) -> CheckResult:
    """
    Make a result of what a check returned.

    None and True pass and False fails. Anything else is a mistake in the check, which
    would be the wrong reason to take a service out of rotation: it warns.
    """
    if value is None or value is True:
        return CheckResult("pass")

    if value is False:
        return CheckResult("fail", "returned False")

    if isinstance(value, CheckResult) and value.status in _STATUSES:
        return value._replace(output=_text(value.output))

    return CheckResult(
        "warn",
        f"returned {type(value).__name__}: a check returns None, True or False, "
        "health.warn(...) or health.fail(...)",
    )


def judge_error(error: BaseException) -> CheckResult:
    """Make a result of what a check raised."""
    text = _text(error)
    kind = type(error).__name__
    return CheckResult("fail", f"{kind}: {text}" if text else kind)


def _text(value: object) -> str:
    try:
        return str(value)[:_MAX_RAW]
    except Exception as error:  # noqa: BLE001 - a bad __str__ is no worse than none
        return f"(its text cannot be made: {type(error).__name__})"
