"""The reference tables of log fields and metric names, read from the code."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from svcready.logging import audit, schema
from svcready.logging._lines import _layouts_ecs as ecs
from svcready.logging._lines import _layouts_otel as otel
from svcready.metrics._workers._service import workers_family
from svcready.metrics.sources._cgroup import cgroup_families
from svcready.metrics.sources._runtime import declare_lag
from svcready.testing import running

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from svcready.metrics._model import Family

__all__ = [
    "audit_fields_markdown",
    "log_fields_markdown",
    "log_layouts_markdown",
    "metrics_markdown",
    "redaction_figures_markdown",
]

_ROOT = Path(__file__).resolve().parents[2]

_ORDER = (
    *("http.", "svcready_", "process.", "cpython.", "python", "system.", "container."),
    "target",
)
# Where the documentation is built there may be no limits to read.
_LIMITS = {
    "cgroup.type": "domain",
    "cpu.max": "1 1",
    "cpu.stat": "user_usec 0\nsystem_usec 0\n"
    "nr_periods 0\nnr_throttled 0\nthrottled_usec 0",
    "memory.max": "0",
    "memory.current": "0",
    "memory.stat": "inactive_file 0",
    "memory.events": "oom_kill 0",
    "pids.max": "0",
    "pids.current": "0",
}


def log_fields_markdown() -> str:
    """Return the fields of a log line as a table, from its JSON Schema."""
    rows = [
        (f"`{name}`" + ("" if required else "?"), kind, text)
        for name, kind, text, required in _fields(schema(), "")
    ]
    return _table(("Field", "Value", "What it is"), rows)


def audit_fields_markdown() -> str:
    """Return the fields of an entry of the audit log as a table, from its schema."""
    rows = [
        (f"`{name}`" + ("" if required else "?"), kind, text)
        for name, kind, text, required in _fields(audit.schema(), "")
    ]
    return _table(("Field", "Value", "What it is"), rows)


def log_layouts_markdown() -> str:
    """Return where each member of a line stands in each layout, from their tables."""
    record = {
        "timestamp": "`timeUnixNano`",
        "level": "`severityText`, `severityNumber`",
        "message": "`body`",
        "event": "`eventName`",
        "trace_id": "`traceId`",
        "span_id": "`spanId`",
        "source.logger": "`scope.name`",
        "context": "attributes of the same names",
    }
    resource = {name: f"resource `{key}`" for name, key in otel.RESOURCE.items()}
    attributes = {name: f"`{key}`" for name, key in otel.ATTRIBUTES.items()}
    names = record | resource | attributes
    rows = [
        (
            f"`{name}`",
            f"`{path}`",
            names[name],
            "at the top" if name == "context" else f"`{name}`",
        )
        for name, path in ecs.NAMES.items()
    ]
    return _table(("standard", "ecs", "otel", "flat"), rows)


def metrics_markdown() -> str:
    """Return every metric that svcready itself gives, from a runtime's snapshot."""
    # What the application exposes itself would win over ours.
    settings = {"metrics.application_registry": False, "cloudwatch.mode": "emf"}
    with running(settings=settings) as harness:
        metrics = harness.runtime.metrics
        assert metrics is not None
        metrics.http.children("GET", "/", 200)
        declare_lag(metrics.declare)
        families = (*metrics.snapshot().families, *_container(), workers_family(1, 0))

    ours = [f for part in _ORDER for f in families if f.name.startswith(part)]
    return _table(
        ("On Prometheus", "Kind", "Labels", "What it is"), [_metric(f) for f in ours]
    )


def _container() -> tuple[Family, ...]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text("0::/")
        (root / "sys/fs/cgroup").mkdir(parents=True)
        for name, text in _LIMITS.items():
            (root / "sys/fs/cgroup" / name).write_text(text)

        return tuple(cgroup_families(directory))


def redaction_figures_markdown() -> str:
    """Return what redaction finds of the tests' corpus, measured on the spot."""
    if str(_ROOT) not in sys.path:
        sys.path.append(str(_ROOT))

    from tests.core.redaction_figures import markdown

    return markdown()


def _metric(family: Family) -> tuple[str, ...]:
    suffix = {"counter": "_total", "info": "_info"}.get(family.kind, "")
    # What describes the service depends on where the documentation is built.
    labels = () if family.name == "target" else family.labels
    names = ", ".join(f"`{label}`" for label in labels)
    return (
        f"`{family.exposition}{suffix}`",
        "gauge" if family.kind == "updowncounter" else family.kind,
        names or ("what is known of the service" if family.name == "target" else ""),
        family.help.rstrip(".") + ".",
    )


def _fields(node: Mapping[str, object], prefix: str) -> Iterator[tuple[str, ...]]:
    required = cast("list[str]", node.get("required", []))
    properties = cast("dict[str, dict[str, object]]", node.get("properties", {}))
    for name, field in properties.items():
        must = "yes" if name in required else ""
        text = cast("str", field.get("description", ""))
        yield f"{prefix}{name}", _kind(field), text, must
        yield from _fields(field, f"{prefix}{name}.")
        items = cast("dict[str, object]", field.get("items", {}))
        yield from _fields(items, f"{prefix}{name}[].")


def _kind(field: Mapping[str, object]) -> str:
    if "const" in field:
        return f"`{field['const']}`"

    if "enum" in field:
        return " ".join(f"`{word}`" for word in cast("list[str]", field["enum"]))

    pattern = cast("str", field.get("pattern", ""))
    forms = {f"^[0-9a-f]{{{n}}}$": f"{n} hex digits" for n in (16, 32, 64)}
    return forms.get(pattern, cast("str", field.get("type", "")))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"
