"""How values of settings are shown: masked if secret, shortened, on one line."""

from __future__ import annotations

import re

__all__ = ["MASK", "looks_secret", "redacted", "shown"]

MASK = "***"
_LONGEST_SHOWN = 80
_LONGEST_READ = 4096
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?|secret|token|credential|auth|api_?key|private|cookie|jwt"
    r"|session|signature|dsn|headers?$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"//[^/@\s]{1,256}@")


def looks_secret(name: str) -> bool:
    """Tell whether something called *name* should not be shown."""
    return bool(_SECRET_NAME.search(name[:256]))


def redacted(text: str) -> str:
    """Return *text* without credentials in addresses."""
    return _USERINFO.sub(f"//{MASK}@", text)


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
