"""How values of settings are shown: masked if secret, shortened, on one line."""

from __future__ import annotations

from svcready._core.redaction import default_redactor

__all__ = ["MASK", "one_line", "redacted", "shown"]

MASK = "***"
_LONGEST_SHOWN = 80
_LONGEST_READ = 4096


def redacted(text: str) -> str:
    """Return *text* without the secrets that can be told by their look."""
    return default_redactor().text(text)


def one_line(text: str) -> str:
    """Return *text*, shortened, with a space for whatever cannot be printed."""
    return "".join(each if each.isprintable() else " " for each in text[:200])


def shown(raw: object, *, secret: bool) -> str:
    """Return what was given as a report may show it: on one line, and short."""
    if secret:
        return MASK

    text = raw if isinstance(raw, str) else _written(raw)
    text = redacted(text[:_LONGEST_READ])  # redaction comes before the cut
    text = f"{text[:_LONGEST_SHOWN]}…" if len(text) > _LONGEST_SHOWN else text
    return repr(text) if isinstance(raw, str) else text


def _written(raw: object) -> str:
    try:
        return repr(raw)
    except Exception:  # noqa: BLE001 - an argument's own fault
        return f"<{type(raw).__name__}>"
