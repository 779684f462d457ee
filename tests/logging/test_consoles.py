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


NARROW = (
    START
    + """
import logging, logging.config
logging.config.dictConfig({
    "version": 1,
    "filters": {"named": {"name": "shop.db", "()": "logging.Filter"}},
    "handlers": {
        "errors": {"class": "logging.StreamHandler", "level": "ERROR"},
        "own": {"class": "logging.StreamHandler", "filters": ["named"]},
    },
    "loggers": {
        "bank": {"handlers": ["errors"], "propagate": False, "level": "DEBUG"},
        "shop": {"handlers": ["own"], "propagate": False, "level": "DEBUG"},
        "bank.teller": {"handlers": ["errors"]},
    },
})
before = {name: list(logging.getLogger(name).handlers) for name in ("bank", "shop")}
pillar = start()
pillar.unify()
for name in ("bank", "shop", "shop.db", "bank.teller"):
    get_logger(name).info("info of " + name)
    logging.getLogger(name).error("error of " + name)
before["bank"][0].setLevel("CRITICAL")
logging.getLogger("bank").error("too low by now")
pillar.flush(1.0)
pillar.close()
assert before == {name: logging.getLogger(name).handlers for name in before}
assert not logging.getLogger("bank").propagate
"""
)


def test_a_consoles_level_and_filters_count_on() -> None:
    """
    Where a project's console alone printed a logger's lines, and not all of them, no
    more of them come out as ours; each once, though two such consoles want it.
    """
    lines, errors = run_script(NARROW)

    said = [line["message"] for line in lines if " of " in line["message"][:9]]
    assert said == [
        "error of bank",
        "info of shop.db",
        "error of shop.db",
        "error of bank.teller",
    ]
    assert "too low by now" not in [line["message"] for line in lines]
    assert errors == ""


ASIDE = (
    START
    + """
import logging, sys
class Kept(logging.Handler):
    def emit(self, record):
        sys.stderr.write("kept: " + record.getMessage() + "\\n")
logging.getLogger().addHandler(Kept())
apart = logging.getLogger("apart")
apart.propagate = False
apart.addHandler(logging.StreamHandler())
pillar = start()
apart.warning("for the console alone")
pillar.flush(1.0)
pillar.close()
"""
)


def test_what_a_logger_kept_from_others_stays_so() -> None:
    """A handler further up gets no lines that it did not get before."""
    lines, errors = run_script(ASIDE)

    assert "for the console alone" in [line["message"] for line in lines]
    assert "for the console alone" not in errors
