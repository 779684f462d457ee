"""The section AUDIT: the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, TEXT, choice, duration, matching, size
from svcready.config._sections.log import GROUP, RETENTION
from svcready.config._setting import setting

__all__ = ["UNKNOWN_KEY", "AuditSettings"]

UNKNOWN_KEY = "\0"
"""Stands for a key that could not be read, and is none itself: entries are tied with a
random one that nobody has, so that nothing which was made without the key passes for
what was made with it."""
_KEY = matching(r"[\x20-\x7e]{16,1024}|", "16 to 1024 characters of printable ASCII")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditSettings:
    """The audit log."""

    section: ClassVar[str] = "AUDIT"

    enabled: bool = setting(True, FLAG, "Writes the audit log")
    destination: str = setting(
        "stdout",
        choice("stdout", "file", "cloudwatch"),
        "Where entries go: standard output, marked log_type audit; a file; a log group "
        "of their own",
    )
    file: str = setting("", TEXT, "The file of the destination file")
    group: str = setting(
        "", GROUP, "Log group; by default /svcready/, the service's name and /audit"
    )
    retention_days: int = setting(
        90, RETENTION, "Retention set on the log group; 0 leaves it alone"
    )
    block_max_s: float = setting(
        1.0,
        duration(high=60.0),
        "How long a caller waits for an entry to be written; on an event loop not at "
        "all",
    )
    queue_bytes: int = setting(
        8 * 1024**2, size(64 * 1024), "Most bytes of entries that wait"
    )
    strict: bool = setting(
        False,
        FLAG,
        "Raises in the application when an entry could not be taken",
    )
    key: str = setting(
        "",
        _KEY,
        "Secret of the entries' hashes (HMAC-SHA256), which nobody can make anew "
        "without it; empty for plain SHA-256",
        secret=True,
        closed=UNKNOWN_KEY,
        follows="entries can be verified by nobody until it is mended",
    )
