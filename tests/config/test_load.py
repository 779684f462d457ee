"""Where values come from, which source wins, and what is said about wrong ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.config import Settings, load, raise_if_any
from svcready.config._named import KINDS
from svcready.config._sections.admin import NOBODY
from svcready.errors import ConfigurationError, DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "/etc/orders.toml"


def file_of(text: str) -> Callable[[str], bytes]:
    """Return a reader of a file that holds *text*."""

    def read(path: str) -> bytes:
        assert path == FILE
        return text.encode()

    return read


def hops(**sources: object) -> Settings:
    """Load `http.trusted_hops` from the named sources."""
    environ = {"SVCREADY_CORE_CONFIG_FILE": FILE}
    if "variable" in sources:
        environ["SVCREADY_HTTP_TRUSTED_HOPS"] = str(sources["variable"])

    lines = [f"[default.http]\ntrusted_hops = {sources.get('default', 2)}"]
    if "table" in sources:
        lines.append(f"[production.http]\ntrusted_hops = {sources['table']}")

    arguments = {"http.trusted_hops": sources["code"]} if "code" in sources else {}
    read = file_of("\n".join(lines) if "file" not in sources else "")
    return load(environ=environ, arguments=arguments, read_file=read)


def test_environment_beats_file_beats_code() -> None:
    """Each source wins over all weaker ones, and the origin tells which it was."""
    everything = hops(variable=5, table=4, default=3, code=1)
    without_variable = hops(table=4, default=3, code=1)
    without_table = hops(default=3, code=1)
    only_code = hops(file="empty", code=1)
    nothing = hops(file="empty")

    assert [
        (5, "SVCREADY_HTTP_TRUSTED_HOPS"),
        (4, f"{FILE} [production.http] trusted_hops"),
        (3, f"{FILE} [default.http] trusted_hops"),
        (1, "init(http.trusted_hops)"),
        (0, "default"),
    ] == [
        (each.http.trusted_hops, str(each.origin("http.trusted_hops")))
        for each in (
            everything,
            without_variable,
            without_table,
            only_code,
            nothing,
        )
    ]
    assert everything.pinned == {"http.trusted_hops": "SVCREADY_HTTP_TRUSTED_HOPS"}
    assert without_variable.pinned == {}


def test_nothing_configured_is_no_problem() -> None:
    """Without any source all is at its default, and nothing is wrong."""
    settings = load(environ={"PATH": "/bin", "HOME": "/root"})

    assert settings == Settings()
    assert settings.problems == ()
    assert settings.service.environment == "production"
    assert not settings.relaxed


@pytest.mark.parametrize("name", ["development", "dev", "local", "test", "DEV"])
def test_development_relaxes(name: str) -> None:
    """Only the four names of development relax a default."""
    settings = load(environ={}, environment=name)

    assert settings.relaxed
    assert settings.admin.host == "127.0.0.1"
    assert str(settings.origin("admin.host")) == "default in development"


@pytest.mark.parametrize("name", ["production", "staging", "devel", "testing", "%$!"])
def test_nothing_else_relaxes(name: str) -> None:
    """Any other environment, a malformed one included, is as strict as production."""
    settings = load(environ={"SVCREADY_SERVICE_ENVIRONMENT": name})

    assert not settings.relaxed
    assert settings.admin.host == "0.0.0.0"


def test_the_environments_name_is_never_taken_from_the_file() -> None:
    """The file cannot choose its own table, nor name another file."""
    text = '[default.service]\nenvironment = "dev"\n[default.core]\nconfig_file = "x"'
    environ = {"SVCREADY_CORE_CONFIG_FILE": FILE}
    settings = load(environ=environ, read_file=file_of(text))

    assert settings.service.environment == "production"
    assert settings.core.config_file == FILE
    assert [problem.name for problem in settings.problems] == [
        f"{FILE} [default.service] environment",
        f"{FILE} [default.core] config_file",
    ]


def test_standard_variables_stand_beneath_ours_and_above_file_and_code() -> None:
    """A standard variable is environment: it yields to our own variable only."""
    standard = {"OTEL_SERVICE_NAME": "standard", "SVCREADY_CORE_CONFIG_FILE": FILE}
    read = file_of('[default.service]\nname = "file"')

    beneath = load(environ=standard, service="code", read_file=read)
    ours = load(environ={**standard, "SVCREADY_SERVICE_NAME": "ours"}, service="code")

    assert beneath.service.name == "standard"
    assert str(beneath.origin("service.name")) == "OTEL_SERVICE_NAME"
    assert ours.service.name == "ours"


def test_resource_attributes_name_the_service_beneath_its_own_variable() -> None:
    """`service.name` of the attributes counts unless OTEL_SERVICE_NAME is set."""
    attributes = "service.name=listed,service.version=1%2C2,team=core"
    environ = {"OTEL_RESOURCE_ATTRIBUTES": attributes}
    listed = load(environ=environ)
    named = load(environ={**environ, "OTEL_SERVICE_NAME": "named"})

    assert (listed.service.name, listed.service.version) == ("listed", "1,2")
    assert named.service.name == "named"
    assert ("team", "core") in named.service.attributes


def test_bad_attributes_are_reported_once_and_the_good_ones_kept() -> None:
    """Several settings read the one variable; one problem names its bad entries."""
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "team=core,bogus,service.name=orders"}
    settings = load(environ=environ)

    assert settings.service.name == "orders"
    assert [str(problem) for problem in settings.problems] == [
        (
            "OTEL_RESOURCE_ATTRIBUTES='bogus' is not allowed: use key=value pairs "
            "separated by commas, percent-encoded; the rest is used"
        )
    ]


def test_a_wrong_standard_variable_counts_only_where_it_would_decide() -> None:
    """It is reported with a wrong one of ours, and left alone beneath a right one."""
    standard = {"OTEL_SERVICE_NAME": "a\nb"}
    right = load(environ={**standard, "SVCREADY_SERVICE_NAME": "ours"})
    wrong = load(environ={**standard, "SVCREADY_SERVICE_NAME": "x" * 300})

    assert right.problems == ()
    assert {problem.name for problem in wrong.problems} == {
        "OTEL_SERVICE_NAME",
        "SVCREADY_SERVICE_NAME",
    }


def test_an_empty_variable_is_unset() -> None:
    """What a template left empty neither counts nor is a problem."""
    environ = {"SVCREADY_SERVICE_NAME": "", "SVCREADY_HTTP_TRUSTED_HOPS": "  "}
    settings = load(environ=environ, service="orders")

    assert settings.service.name == "orders"
    assert settings.problems == ()


def test_every_wrong_value_is_reported_and_the_default_used() -> None:
    """One report has variable, value, what is allowed, and what is used instead."""
    settings = load(
        environ={
            "SVCREADY_HTTP_TRUSTED_HOPS": "many",
            "SVCREADY_CORE_CONFIG_RELOAD_S": "soon",
            "SVCREADY_CORE_START_SUMMARY": "loud",
        },
        arguments={"http.trusted_hops": 3},
    )

    assert settings.http.trusted_hops == 0
    assert settings.core.config_reload_s == 10.0
    assert settings.core.start_summary == "auto"
    assert {str(problem) for problem in settings.problems} == {
        (
            "SVCREADY_HTTP_TRUSTED_HOPS='many' is not allowed: use a whole number "
            "from 0 to 32; 0 (the default) is used"
        ),
        (
            "SVCREADY_CORE_CONFIG_RELOAD_S='soon' is not allowed: use seconds, or a "
            "number with ms, s, m, h or d up to 86400 s; 10 (the default) is used"
        ),
        (
            "SVCREADY_CORE_START_SUMMARY='loud' is not allowed: use auto | full | "
            "line | off; auto (the default) is used"
        ),
    }


@pytest.mark.parametrize("tokens", [",", "with space", "tab\there", "é", "x" * 600])
def test_malformed_tokens_admit_nobody_and_are_never_shown(tokens: str) -> None:
    """A bad token list fails closed, in development too, and stays masked."""
    environ = {
        "SVCREADY_ADMIN_TOKENS": tokens,
        "SVCREADY_SERVICE_ENVIRONMENT": "development",
    }
    settings = load(environ=environ)

    assert settings.admin.tokens == NOBODY
    assert all(not token.isprintable() for token in settings.admin.tokens)
    (problem,) = settings.problems
    assert problem.value == "***"
    assert "fails closed" in str(problem)
    assert tokens not in str(problem)


def test_secrets_are_left_out_of_representations() -> None:
    """Neither a section's nor the settings' representation holds a token."""
    settings = load(environ={"SVCREADY_ADMIN_TOKENS": "s3cr3t-token"})

    assert settings.admin.tokens == ("s3cr3t-token",)
    assert "s3cr3t" not in repr(settings)
    assert "s3cr3t" not in repr(settings.admin)


def test_unknown_variables_are_reported_with_the_nearest_name() -> None:
    """A misspelt field or section leads to the variable that was meant."""
    settings = load(
        environ={
            "SVCREADY_HTTP_TRUSTED_HOP": "3",
            "SVCREADY_HTPT_PATH_PREFIX": "/ops",
            "svcready_core_strict": "true",
            "SVCREADY_QQQQQQQQ": "?",
        }
    )

    assert {problem.name: problem.nearest for problem in settings.problems} == {
        "SVCREADY_HTTP_TRUSTED_HOP": "SVCREADY_HTTP_TRUSTED_HOPS",
        "SVCREADY_HTPT_PATH_PREFIX": "SVCREADY_HTTP_PATH_PREFIX",
        "svcready_core_strict": "SVCREADY_CORE_STRICT",
        "SVCREADY_QQQQQQQQ": "",
    }
    assert "did you mean SVCREADY_HTTP_TRUSTED_HOPS?" in str(settings.problems[0])


@pytest.mark.parametrize(
    "name",
    [
        "SVCREADY_ADMIN_TOKNES",
        "SVCREADY_AUDIT_HMAC",
        "SVCREADY_LOG_LEVLE",
        "SVCREADY_MY_PASSWORD",
    ],
)
def test_what_an_unknown_variable_holds_is_not_shown(name: str) -> None:
    """It may be a secret whatever the name is most like."""
    (problem,) = load(environ={name: "hunter2"}).problems

    assert "hunter2" not in repr(problem)


def test_the_report_of_unknown_variables_is_bounded() -> None:
    """Thousands of unknown variables cannot flood the report."""
    environ = {f"SVCREADY_ZZ_{index}": "1" for index in range(5000)}
    problems = load(environ=environ).problems

    assert len(problems) == 101
    assert "4900 more" in str(problems[-1])


def test_what_kubernetes_injects_is_not_reported() -> None:
    """A Kubernetes service called svcready-demo gives variables that aren't ours."""
    environ = {
        "SVCREADY_DEMO_SERVICE_HOST": "10.0.0.1",
        "SVCREADY_DEMO_SERVICE_PORT": "80",
        "SVCREADY_DEMO_SERVICE_PORT_HTTP": "80",
        "SVCREADY_DEMO_PORT": "tcp://10.0.0.1:80",
        "SVCREADY_DEMO_PORT_80_TCP": "tcp://10.0.0.1:80",
        "SVCREADY_DEMO_PORT_80_TCP_ADDR": "10.0.0.1",
    }

    assert load(environ=environ).problems == ()


def test_a_variable_that_looks_like_a_link_but_is_known_is_read() -> None:
    """The exception for Kubernetes hides no setting of ours."""
    assert load(environ={"SVCREADY_ADMIN_PORT": "9000"}).admin.port == 9000
    assert load(environ={"SVCREADY_ADMIN_PORT": "tcp://10.0.0.1:80"}).problems


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"http.trusted_hop": 1}, "did you mean http.trusted_hops?"),
        ({"trusted_hops": 1}, "'trusted_hops' is not known"),
        ({"http.trusted_hops": "many"}, "use a whole number from 0 to 32"),
        ({"policy.payments.retry_atempts": 1}, "policy.payments.retry_attempts?"),
        ({"policy.payments.retry_attempts": 0}, "a whole number from 1 to 100"),
        ({"policy.payments": 1}, "'policy.payments' is not known"),
        ({3: 4}, "the setting 3 is not known"),
        ({"service.attributes": "a=1,bogus"}, "bogus"),
    ],
)
def test_wrong_code_raises_at_once(arguments: dict[str, object], message: str) -> None:
    """An unknown key or a value that is not allowed is the programmer's to mend."""
    with pytest.raises(DeclarationError) as caught:
        load(environ={}, arguments=arguments)

    assert message in str(caught.value)


def test_wrong_code_raises_even_where_the_environment_decides() -> None:
    """An override in one environment does not hide a bug from it."""
    with pytest.raises(DeclarationError, match=r"http\.trusted_hops='many'"):
        load(
            environ={"SVCREADY_HTTP_TRUSTED_HOPS": "1"},
            arguments={"http.trusted_hops": "many"},
        )


def test_all_wrong_arguments_are_in_one_error() -> None:
    """The message has a line for each of them."""
    with pytest.raises(DeclarationError) as caught:
        load(environ={}, arguments={"a.b": 1, "http.trusted_hops": -1}, service="\t\0")

    assert [line.partition("=")[0] for line in str(caught.value).splitlines()] == [
        "the setting 'a.b' is not known",
        "service.name",
        "http.trusted_hops",
    ]


def test_a_secret_in_code_is_masked_in_the_error() -> None:
    """Even what the code itself gives is not printed."""
    with pytest.raises(DeclarationError) as caught:
        load(environ={}, arguments={"admin.tokens": "hunter2 hunter3"})

    assert "hunter" not in str(caught.value)


def test_service_given_twice_raises() -> None:
    """`service=` and its setting are the same thing."""
    with pytest.raises(DeclarationError, match="give one"):
        load(environ={}, service="a", arguments={"service.name": "b"})


def test_strict_raises_all_problems_as_one() -> None:
    """The helper makes one error of the report, and none of an empty one."""
    environ = {"SVCREADY_HTTP_TRUSTED_HOPS": "x", "SVCREADY_CORE_STRICKT": "1"}
    settings = load(environ=environ)
    with pytest.raises(ConfigurationError) as caught:
        raise_if_any(settings.problems)

    assert len(caught.value.problems) == 2
    raise_if_any(())


def test_changes_are_named() -> None:
    """`changed_from` names exactly the keys whose values differ."""
    before = load(environ={}, service="orders")
    after = load(
        environ={"SVCREADY_POLICY__PAYMENTS__RETRY_ATTEMPTS": "5"},
        service="orders",
        version="2",
    )

    assert after.changed_from(before) == (
        "policy.payments.retry_attempts",
        "service.version",
    )
    assert after.changed_from(after) == ()


def test_equality_is_of_values_not_of_origins() -> None:
    """The same value from another source is the same configuration."""
    code = load(environ={}, service="orders")
    variable = load(environ={"SVCREADY_SERVICE_NAME": "orders"})

    assert code == variable
    assert code != load(environ={}, service="carts")


def test_loading_is_pure() -> None:
    """The same arguments give the same settings, and the environment is copied."""
    environ = {"SVCREADY_HTTP_TRUSTED_HOPS": "1"}
    first = load(environ=environ)
    environ["SVCREADY_HTTP_TRUSTED_HOPS"] = "2"

    assert first.http.trusted_hops == 1
    assert first.inputs
    assert first.inputs.environ == {"SVCREADY_HTTP_TRUSTED_HOPS": "1"}


@pytest.mark.parametrize(
    "name",
    [
        "SVCREADY_LIMIT__DEFAULT__BURST",
        "SVCREADY_LIMIT__ORDERS__BURST",
    ],
)
def test_what_has_no_effect_is_reported_where_it_is_set(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of a part that this version lacks is a problem, a default is none."""
    inert = KINDS["LIMIT"]._replace(inert=True)
    monkeypatch.setitem(KINDS, "LIMIT", inert)
    (problem,) = load(environ={name: "1"}).problems

    assert str(problem) == f"{name} has no effect in this version"


def test_debug_in_production_is_reported() -> None:
    """It is refused there unless it is allowed, and the report names the word."""
    debug = {"SVCREADY_LOG_LEVEL": "debug"}
    (problem,) = load(environ=debug).problems

    assert str(problem) == (
        "SVCREADY_LOG_LEVEL='DEBUG' is refused in production without "
        "SVCREADY_LOG_ALLOW_DEBUG=true; INFO is in force"
    )
    assert load(environ={**debug, "SVCREADY_LOG_ALLOW_DEBUG": "1"}).problems == ()
    assert load(environ=debug, environment="development").problems == ()
    with pytest.raises(ConfigurationError) as caught:
        raise_if_any([problem])

    assert "in force" not in str(caught.value)


def test_debug_of_single_loggers_in_production_is_reported() -> None:
    """Each of them once, wherever it was said."""
    environ = {"SVCREADY_LOG_LEVELS": "httpx=WARN,orders.db=debug"}
    (problem,) = load(environ=environ).problems

    assert str(problem) == (
        "SVCREADY_LOG_LEVELS='orders.db=DEBUG' is refused in production without "
        "SVCREADY_LOG_ALLOW_DEBUG=true; INFO is in force"
    )
    assert load(environ={**environ, "SVCREADY_LOG_ALLOW_DEBUG": "1"}).problems == ()


def test_a_wrong_pair_of_a_logger_is_reported_as_it_was_written() -> None:
    """With `:` for `=`, with a level that is none: the text, and what is allowed."""
    settings = load(environ={"SVCREADY_LOG_LEVELS": "httpx:WARN,db=WRN,shop=ERROR"})
    (problem,) = settings.problems

    assert settings.log.levels == (("shop", "ERROR"),)
    assert str(problem) == (
        "SVCREADY_LOG_LEVELS='httpx:WARN, db=WRN' is not allowed: use logger=LEVEL "
        "pairs separated by commas, LEVEL as for SVCREADY_LOG_LEVEL; the rest is used"
    )


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"SVCREADY_AUDIT_DESTINATION": "file"},
            " needs SVCREADY_AUDIT_FILE; entries go to standard output",
        ),
        (
            {"SVCREADY_LOG_STDOUT": "false"},
            ", and no other destination can be used; lines go to standard output",
        ),
    ],
)
def test_a_destination_that_lacks_something_is_a_problem(
    environ: dict[str, str], said: str
) -> None:
    """It is told before anything starts; not where the part is switched off."""
    whole = {"SVCREADY_AUDIT_FILE": "/a", "SVCREADY_LOG_FILE": "/b"}
    off = {"SVCREADY_AUDIT_ENABLED": "false", "SVCREADY_LOG_ENABLED": "false"}

    ((name, value),) = environ.items()
    (problem,) = load(environ=environ).problems
    assert str(problem) == f"{name}={value}{said}"
    assert load(environ={**environ, **whole}).problems == ()
    assert load(environ={**environ, **off}).problems == ()
    assert load(environ={**environ, "SVCREADY_CORE_ENABLED": "false"}).problems == ()


def test_a_lack_names_what_asked_for_it() -> None:
    """A destination of the file or of code is told of by its place."""
    environ = {"SVCREADY_CORE_CONFIG_FILE": FILE}
    read = file_of('[default.audit]\ndestination = "file"')
    (of_file,) = load(environ=environ, read_file=read).problems
    (of_code,) = load(environ={}, arguments={"log.stdout": False}).problems

    assert str(of_file).startswith(f"{FILE} [default.audit] destination=file needs")
    assert str(of_code).startswith("init(log.stdout)=false, and no other")
