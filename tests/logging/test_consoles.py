from __future__ import annotations

from tests.logging.support import START, run_script

SCRIPT = (
    START
    + """
import logging, logging.config, sys
logging.basicConfig(stream=sys.stderr)
root = logging.getLogger()
theirs = root.handlers[0]
pillar = start()
assert theirs not in root.handlers
logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": True,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"shop": {"handlers": ["console"], "propagate": False}},
})
logging.getLogger("shop").warning("from the shop")
logging.getLogger("elsewhere").warning("from elsewhere")
pillar.flush(1.0)
pillar.close()
assert [type(h) for h in logging.getLogger("shop").handlers] == [logging.StreamHandler]
"""
)


def test_a_projects_own_console_says_nothing_twice() -> None:
    """
    The plain `StreamHandler` of `basicConfig` or a project's `LOGGING` is set aside
    with a word to the operator; its loggers' lines come out once, as ours.
    """
    lines, errors = run_script(SCRIPT)

    said = [line["message"] for line in lines if line["message"].startswith("from ")]
    assert said == ["from the shop", "from elsewhere"]
    assert errors == ""
    assert [line for line in lines if "is set aside" in str(line)]
