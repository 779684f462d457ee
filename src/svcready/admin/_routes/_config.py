"""The path `/admin/config`: every setting in force, its origin, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._exchange import answer_json
from svcready.admin._surface import Route
from svcready.config import report

if TYPE_CHECKING:
    from svcready._runtime import Runtime
    from svcready.admin._exchange import OpsRequest, OpsResponse

__all__ = ["config_route"]


def config_route(runtime: Runtime) -> Route:
    """Make the path that shows the configuration, as `svcready config --json` does."""

    def answer(_: OpsRequest) -> OpsResponse:
        settings = runtime.settings
        said = {str(problem) for problem in settings.problems}
        further = [text for text in runtime.problems() if text not in said]
        told = report(settings, further, runtime.redactor.text)
        return answer_json(200, {**told, "notices": list(runtime.notices)})

    return Route("/admin/config", answer, guarded=True, slow=True)
