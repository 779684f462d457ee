"""What the tests of the audit log need: a log that writes into a list, and a reader."""

from __future__ import annotations

import io
import json
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import jsonschema

from svcready._core.redaction import Redactor
from svcready.config._sections.audit import AuditSettings
from svcready.logging import audit
from svcready.logging._audit._log import AuditLog
from svcready.logging._audit._verify import Verifier
from svcready.testing import FakeClock
from tests.logging.support import Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

_VALIDATOR = jsonschema.Draft202012Validator(audit.schema())

Entry = dict[str, Any]


class Lines:
    """A target that keeps what it takes, or refuses it."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.waited: list[float] = []
        self.refuses = False
        self.dropped: Counter[str] = Counter()
        self.calls: list[str] = []

    def put(self, line: bytes, _level: int, timeout_s: float) -> bool:
        """Keep the line."""
        self.waited.append(timeout_s)
        if self.refuses:
            self.dropped["queue_full"] += 1
            return False

        self.lines.append(line)
        return True

    def flush(self, _timeout_s: float) -> bool:
        """Note it."""
        self.calls.append("flush")
        return True

    def close(self, _timeout_s: float) -> bool:
        """Note it."""
        self.calls.append("close")
        return True

    @property
    def data(self) -> bytes:
        """Everything that was kept."""
        return b"".join(self.lines)

    @property
    def entries(self) -> list[Entry]:
        """Everything that was kept, each entry held against the schema."""
        return read_entries(self.data)


def read_entries(data: bytes) -> list[Entry]:
    """Read a log's audit entries, each of which must obey the schema."""
    lines = [json.loads(line) for line in data.splitlines()]
    entries = [line for line in lines if line.get("log_type") == "audit"]
    for entry in entries:
        _VALIDATOR.validate(entry)

    return entries


def hash_of(line: bytes) -> str:
    """Work an entry's hash out as the documentation says."""
    return sha256(line[: line.rindex(b',"hash":"')]).hexdigest()


def verified(data: bytes, *, key: bytes = b"", closed: bool = False) -> Verifier:
    """Verify a log."""
    verifier = Verifier(key)
    verifier.read("log", io.BytesIO(data))
    verifier.finish(expect_closed=closed)
    return verifier


def make_audit(
    settings: AuditSettings | None = None,
    *,
    target: Lines | None = None,
    clock: Clock | None = None,
    redactor: Redactor | None = None,
    span_ids: Callable[[], tuple[str, str] | None] = lambda: None,
    max_bytes: int = 16 * 1024,
) -> tuple[AuditLog, Lines]:
    """Make an audit log that has not started, and where its lines arrive."""
    lines = target or Lines()
    made = AuditLog(
        settings or AuditSettings(),
        identity=Identity(),
        clock=clock or FakeClock(),
        redactor=redactor or Redactor(),
        span_ids=span_ids,
        target=lines,
        max_bytes=max_bytes,
    )
    return made, lines
