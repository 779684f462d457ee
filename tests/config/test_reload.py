"""Reloading: what takes effect, what waits, and what a broken edit does."""

from __future__ import annotations

from svcready.config import Settings, load, reload
from svcready.config._sections.admin import NOBODY


class File:
    """A configuration file that a test rewrites."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, path: str) -> bytes:
        """Read it; its absence is spelt as an empty text."""
        if not self.text:
            raise FileNotFoundError(2, "No such file or directory")

        return self.text.encode()


def started_with(file: File, **environ: str) -> Settings:
    """Load the settings of a service that has *file*."""
    return load(environ={"SVCREADY_CORE_CONFIG_FILE": "/f", **environ}, read_file=file)


def test_a_reloadable_setting_changes() -> None:
    """The new value is there, with its origin, and its key is named."""
    file = File("")
    file.text = "[default.http]\naccess_log = true"
    before = started_with(file)
    file.text = "[default.http]\naccess_log = false"
    after = reload(before)

    assert before.http.access_log
    assert not after.http.access_log
    assert after.changed_from(before) == ("http.access_log",)
    assert str(after.origin("http.access_log")) == "/f [default.http] access_log"
    assert after.problems == ()


def test_levels_change_unless_a_variable_says_them() -> None:
    """Both the general level and those of single loggers."""
    file = File("[default.log]\n")
    before = started_with(file, SVCREADY_LOG_LEVEL="ERROR")
    file.text = '[default.log]\nlevel = "WARN"\nlevels = "httpx=WARN"'
    after = reload(before)

    assert after.changed_from(before) == ("log.levels",)
    assert after.log.levels == (("httpx", "WARN"),)
    assert after.log.level == "ERROR"
    assert after.pinned == {"log.level": "SVCREADY_LOG_LEVEL"}


def test_nothing_changed_is_equal() -> None:
    """Reading the same file again gives equal settings and origins."""
    before = started_with(File("[default.http]\ntrusted_hops = 2"))
    after = reload(before)

    assert after == before
    assert after.origins == before.origins


def test_what_needs_a_restart_waits_and_says_so() -> None:
    """A setting that is not reloadable keeps its value until the next start."""
    file = File("[default.http]\ntrusted_hops = 2")
    before = started_with(file)
    file.text = "[default.http]\ntrusted_hops = 3"
    waiting = reload(reload(before))
    file.text = "[default.http]\ntrusted_hops = 2"
    undone = reload(waiting)

    assert waiting.http.trusted_hops == 2
    assert [str(problem) for problem in waiting.problems] == [
        "/f [default.http] trusted_hops has changed and takes effect after a restart"
    ]
    assert undone.problems == ()


def test_the_environment_pins() -> None:
    """What a variable says stays, and the file's vain word is listed."""
    file = File("[default.http]\naccess_log = true")
    before = started_with(file, SVCREADY_HTTP_ACCESS_LOG="true")
    file.text = "[default.http]\naccess_log = false"
    after = reload(before)

    assert after.http.access_log
    assert after.pinned == {"http.access_log": "SVCREADY_HTTP_ACCESS_LOG"}


def test_a_broken_edit_changes_nothing() -> None:
    """A wrong value or an unreadable file leaves a running service as it is."""
    file = File("[default.http]\naccess_log = false\ntrusted_hops = 3")
    before = started_with(file)
    file.text = '[default.http]\naccess_log = "perhaps"\ntrusted_hops = 3'
    wrong = reload(before)
    file.text = "[default.http"
    torn = reload(wrong)
    file.text = ""
    gone = reload(torn)

    assert before == wrong == torn == gone
    assert str(wrong.problems[0]).endswith("false stays in force")
    assert [problem.kind for problem in torn.problems] == ["unreadable", "malformed"]
    assert [problem.kind for problem in gone.problems] == ["unreadable", "malformed"]


def test_tokens_that_go_wrong_close_at_the_next_start() -> None:
    """A malformed edit leaves a running service's tokens, says so, and then closes."""
    file = File('[default.admin]\ntokens = ["right"]')
    before = started_with(file)
    file.text = '[default.admin]\ntokens = ["not right"]'
    after = reload(before)

    assert after.admin.tokens == ("right",)
    assert [problem.kind for problem in after.problems] == ["malformed", "restart"]
    assert started_with(file).admin.tokens == NOBODY


def test_settings_by_name_are_reloadable() -> None:
    """Policies and checks follow the file, and the declared names are remembered."""
    file = File("[default.policy.payments]\nretry_attempts = 2")
    before = started_with(file)
    before.named.values("POLICY", "payments")
    file.text = "[default.policy.payments]\nretry_attempts = 3"
    after = reload(before)

    assert after.named.unmatched() == ()
    assert after.named.values("POLICY", "payments") == {"retry_attempts": 3}
    assert after.changed_from(before) == ("policy.payments.retry_attempts",)


def test_a_secret_that_cannot_be_resolved_any_more_is_kept() -> None:
    """An outage of the secrets' store does not lock operators out."""
    answers = ["token"]

    def resolve(reference: str) -> str:
        if not answers:
            raise OSError

        return answers.pop()

    before = load(
        environ={"SVCREADY_ADMIN_TOKENS": "ssm:/token"}, resolve_secret=resolve
    )
    after = reload(before)

    assert after.admin.tokens == ("token",)
    assert str(after.problems[0]).endswith("the one before stays in force")


def test_settings_made_by_hand_have_nothing_to_reload() -> None:
    """Tests and tools may build settings without any source."""
    settings = Settings()

    assert reload(settings) is settings
