"""The path `/admin/loggers`: who logs from which level, and another one for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from svcready._runtime._levels import LevelRefusedError
from svcready.admin._exchange import answer_json, operator_of, problem
from svcready.admin._routes._times import read_ttl, wall_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._runtime._levels import LevelChange, SharedLevels
    from svcready.admin._exchange import Audit, OpsRequest, OpsResponse
    from svcready.logging._thresholds import Threshold

__all__ = ["LoggersRoute"]

_DEFAULT_TTL_S = 600.0
_LONGEST_NAME = 256
_ACTION = "log.level.change"
_MEMBERS = ("logger", "level", "ttl")
_LEVELS = ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL")


class LoggersRoute:
    """
    Lists the loggers and changes their levels, for an operator who was admitted.

    GET lists those whose name begins with the query's `name`. POST takes
    `{"logger": ..., "level": ..., "ttl": ...}`; the level null, or DELETE with the
    query's `name`, falls back now.

    Args:
        levels: What is changed.
        origin_of: Tells where the setting `level` or `levels` was said.
        audit: Takes down every change, and every one that was refused.
    """

    methods = ("GET", "HEAD", "POST", "DELETE")

    def __init__(
        self,
        levels: SharedLevels,
        *,
        origin_of: Callable[[str], str],
        audit: Audit,
    ) -> None:
        self._levels = levels
        self._origin_of = origin_of
        self._audit = audit

    def __call__(self, request: OpsRequest) -> OpsResponse:
        """Answer *request*."""
        if request.method == "POST":
            return self._post(request)

        name = "".join(parse_qs(request.query).get("name", ())[:1])
        if request.method == "DELETE":
            return self._change(request, name, None, _DEFAULT_TTL_S)

        found = self._levels.describe(name)
        return answer_json(200, {"loggers": [self._shown(each) for each in found]})

    def _post(self, request: OpsRequest) -> OpsResponse:
        import orjson

        try:
            said = orjson.loads(request.body or b"")
        except ValueError:
            return problem(
                400, "Not JSON", 'Send {"logger": "orders", "level": "DEBUG"}'
            )

        if not isinstance(said, dict) or not said.keys() <= set(_MEMBERS):
            return problem(400, "Not a change", f"Members are {', '.join(_MEMBERS)}")

        name, level = said.get("logger"), said.get("level", "")
        if level is not None and (
            not isinstance(level, str) or level.strip().upper() not in _LEVELS
        ):
            return problem(400, "No such level", f"Use {', '.join(_LEVELS)} or null")

        try:
            ttl_s = read_ttl(said.get("ttl", _DEFAULT_TTL_S))
        except ValueError as error:
            return problem(400, "No such ttl", str(error))

        return self._change(request, name, level, ttl_s)

    def _change(
        self, request: OpsRequest, name: object, level: str | None, ttl_s: float
    ) -> OpsResponse:
        if not isinstance(name, str) or not _is_name(name):
            said = f"1 to {_LONGEST_NAME} printable characters; root is the root's"
            return problem(400, "No such logger", said)

        actor = operator_of(request)
        resource = {"type": "logger", "id": name}
        refused: tuple[int, str, str, str]
        try:
            change = self._levels.change(name, level, ttl_s)
        except LevelRefusedError as refusal:
            refused = 409, "Refused", "denied", str(refusal)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            refused = 503, "The workers cannot be told", "failure", reason
        else:
            if change.is_one:
                self._tell(change, resource, actor)

            return answer_json(200, _told(change))

        status, title, outcome, reason = refused
        self._audit(_ACTION, resource, actor, outcome, level=level, reason=reason)
        return problem(status, title, reason)

    def _tell(
        self, change: LevelChange, resource: dict[str, str], actor: dict[str, str]
    ) -> None:
        before, after = change.before, change.after
        self._audit(
            _ACTION,
            resource,
            actor,
            "success",
            changes={
                "level": {"from": before.effective, "to": after.effective},
                "until": {
                    "from": wall_time(before.until_ns),
                    "to": wall_time(after.until_ns),
                },
            },
            workers=change.workers._asdict(),
        )

    def _shown(self, found: Threshold) -> dict[str, object]:
        said_by: str | None = found.said_by or None
        if said_by in {"level", "levels"}:
            said_by = self._origin_of(said_by)

        return {
            "logger": found.logger,
            "level": found.level,
            "effective": found.effective,
            "set_by": said_by,
            "until": wall_time(found.until_ns),
        }


def _told(change: LevelChange) -> dict[str, object]:
    told: dict[str, object] = {
        "logger": change.after.logger,
        "level": change.after.effective,
        "until": wall_time(change.after.until_ns),
        "workers": change.workers._asdict(),
    }
    if change.notice:
        told["notice"] = change.notice

    return told


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()
