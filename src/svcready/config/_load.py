"""Loading: environment over file over code over defaults, and every problem at once."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from svcready.config._access import unfinished_access
from svcready.config._file import FileValues, parse_file
from svcready.config._named import DEFAULT, KINDS, Named, NamedValue
from svcready.config._names import (
    misspelt_standards,
    named_arguments,
    named_variables,
    unknown_arguments,
    unknown_variables,
)
from svcready.config._probe_paths import settle_probe_paths
from svcready.config._problems import Problem, nearest
from svcready.config._reader import Reader
from svcready.config._regular_file import read_regular_file
from svcready.config._rules_file import read_rules
from svcready.config._secrets import resolve_file_secret
from svcready.config._sections import (
    AdminSettings,
    AuditSettings,
    CloudwatchSettings,
    CoreSettings,
    HealthSettings,
    HttpSettings,
    LifecycleSettings,
    LogSettings,
    MetricsSettings,
    OtlpSettings,
    PrometheusSettings,
    ResilienceSettings,
    ServiceSettings,
    TracingSettings,
    XraySettings,
)
from svcready.config._settings import RELAXED, Inputs, Settings
from svcready.config._table import PREFIX, entries, known_keys, standard_names
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from svcready.config._named import Layer, NamedText
    from svcready.config._origins import Origin

__all__ = ["load", "load_inputs"]

S = TypeVar("S")

_FIRST = ("service.environment", "core.config_file")
_NO_FILE = FileValues({}, (), ())


def load(
    *,
    environ: Mapping[str, str],
    arguments: Mapping[str, object] | None = None,
    service: str | None = None,
    version: str | None = None,
    environment: str | None = None,
    read_file: Callable[[str], bytes] = read_regular_file,
    resolve_secret: Callable[[str], str] = resolve_file_secret,
) -> Settings:
    """
    Read all settings; a pure function of its arguments.

    A value is taken from the first of: our variable, the standard variables that it
    honours, the file, the arguments, the default. A standard variable is part of the
    environment, so it beats file and code; it yields only to our own variable. A
    source that is wrong is reported, and if it would have decided, the default is
    used instead (what closes, for a security setting). An empty variable is unset.

    Args:
        environ: The environment variables.
        arguments: By dotted key: `{"log.level": "DEBUG"}`.
        service: The same as the argument `service.name`.
        version: The same as the argument `service.version`.
        environment: The same as the argument `service.environment`.
        read_file: Reads the configuration file.
        resolve_secret: Resolves one reference to a secret; raises `SecretError`.

    Raises:
        DeclarationError: An argument is not known or not allowed. Nothing else
            raises: what is wrong elsewhere is in the result's `problems`.
    """
    given = dict(arguments or {})
    for name, value in (
        ("name", service),
        ("version", version),
        ("environment", environment),
    ):
        if value is None:
            continue

        if f"service.{name}" in given:
            word = "service" if name == "name" else name
            message = f"{word} and settings['service.{name}'] are the same: give one"
            raise DeclarationError(message)

        given[f"service.{name}"] = value

    ours = {
        name: text
        for name, text in environ.items()
        if name[: len(PREFIX)].upper() == PREFIX
        or name in standard_names()
        or name.startswith("OTEL_")  # to find those that are misspelt
    }
    inputs = Inputs(
        MappingProxyType(ours), MappingProxyType(given), read_file, resolve_secret
    )
    return load_inputs(inputs, kept={})


def load_inputs(
    inputs: Inputs, *, kept: Mapping[str, tuple[object, Origin]]
) -> Settings:
    """
    Read all settings from *inputs*.

    Args:
        inputs: Where from.
        kept: On a reload, the values in force with their origins.

    Raises:
        DeclarationError: An argument is not known or not allowed.
    """
    wrong = unknown_arguments(inputs.arguments)
    reader = Reader(inputs.environ, inputs.arguments, inputs.resolve_secret, kept)
    name, path = (str(reader.read(known_keys()[key])) for key in _FIRST)
    reader.relaxed = name in RELAXED
    said = str(reader.origins["core.config_file"])
    file = parse_file(path, name, inputs.read_file, said) if path else _NO_FILE
    reader.file = file.values
    for entry in entries():
        if entry.key not in _FIRST:
            reader.read(entry)

    _read_rules_file(reader, inputs)
    collisions = settle_probe_paths(reader)
    variables, misspelt = named_variables(inputs.environ)
    sources = (variables, file.named, named_arguments(inputs.arguments))
    layers = tuple(_layer(reader, texts) for texts in sources)
    if wrong or reader.wrong_arguments:
        raise DeclarationError("\n".join((*wrong, *reader.wrong_arguments)))

    misspelt += misspelt_standards(inputs.environ)
    unknown = unknown_variables(inputs.environ)
    problems = (
        *reader.problems,
        *file.problems,
        *misspelt,
        *unknown,
        *_refused(reader),
        *collisions,
        *_incomplete(reader),
        *_inert(reader, layers),
    )
    return _settings(reader, layers, problems, inputs)


def _read_rules_file(reader: Reader, inputs: Inputs) -> None:
    """Put the rules in place of the path that was read."""
    path = str(reader.values["tracing.rules_file"])
    if path:
        file, problems = read_rules(path, inputs.read_file)
        reader.values["tracing.rules_file"] = file
        reader.problems += problems


def _refused(reader: Reader) -> Iterator[Problem]:
    """Find values that others do not let take effect."""
    if reader.relaxed or reader.values["log.allow_debug"]:
        return

    without = f"in production without {PREFIX}LOG_ALLOW_DEBUG=true"
    levels: tuple[tuple[str, str], ...] = reader.values["log.levels"]  # type: ignore[assignment]
    said = [("log.level", reader.values["log.level"], "'DEBUG'")]
    said += [("log.levels", level, f"'{name}={level}'") for name, level in levels]
    for key, level, value in said:
        if level == "DEBUG":
            origin = reader.origins[key]
            name = str(origin) if origin.kind == "argument" else origin.where
            yield Problem("refused", name, value, without, used="INFO is in force")


def _incomplete(reader: Reader) -> Iterator[Problem]:
    """Find destinations that lack what others must say for them to be used."""
    values, origins = reader.values, reader.origins

    def named(key: str) -> str:
        origin = origins[key]
        return str(origin) if origin.kind == "argument" else origin.where

    logs = values["core.enabled"] and values["log.enabled"]
    audits = values["core.enabled"] and values["audit.enabled"]
    further = any(values[f"log.{name}"] for name in ("file", "syslog", "cloudwatch"))
    if logs and not values["log.stdout"] and not further:
        yield Problem(
            "incomplete",
            named("log.stdout"),
            "false",
            ", and no other destination can be used",
            used="lines go to standard output",
        )

    if audits and values["audit.destination"] == "file" and not values["audit.file"]:
        yield Problem(
            "incomplete",
            named("audit.destination"),
            "file",
            f" needs {PREFIX}AUDIT_FILE",
            used="entries go to standard output",
        )

    if values["core.enabled"] and values["admin.enabled"]:
        yield from unfinished_access(values, named)


def _inert(reader: Reader, layers: tuple[Layer, ...]) -> Iterator[Problem]:
    """Find what environment and file set in vain, because this version lacks it."""
    for entry in entries():
        origin = reader.origins[entry.key]
        if entry.declared.inert and origin.kind in {"variable", "file"}:
            yield Problem("inert", origin.where)

    for layer in layers[:2]:
        for (kind, _), fields in layer.items():
            if KINDS[kind].inert:
                for said in fields.values():
                    yield Problem("inert", said.origin.where)


def _settings(
    reader: Reader,
    layers: tuple[Layer, ...],
    problems: tuple[Problem, ...],
    inputs: Inputs,
) -> Settings:
    def make(section: Callable[..., S]) -> S:
        return section(
            **{
                entry.field: reader.values[entry.key]
                for entry in entries()
                if entry.section is section
            }
        )

    named = Named(layers)
    said = {key: value.origin for key, value in named.flat_explained().items()}
    return Settings(
        core=make(CoreSettings),
        service=make(ServiceSettings),
        log=make(LogSettings),
        audit=make(AuditSettings),
        metrics=make(MetricsSettings),
        cloudwatch=make(CloudwatchSettings),
        prometheus=make(PrometheusSettings),
        tracing=make(TracingSettings),
        xray=make(XraySettings),
        otlp=make(OtlpSettings),
        health=make(HealthSettings),
        lifecycle=make(LifecycleSettings),
        resilience=make(ResilienceSettings),
        http=make(HttpSettings),
        admin=make(AdminSettings),
        named=named,
        origins=MappingProxyType({**reader.origins, **said}),
        problems=problems,
        pinned=_pinned(reader, layers),
        inputs=inputs,
    )


def _layer(reader: Reader, texts: tuple[NamedText, ...]) -> Layer:
    """Parse what one source says of things by their names."""
    layer: Layer = {}
    for kind, spelt, field, raw, origin in texts:
        fields = KINDS[kind].fields
        if field not in fields:
            near = nearest(field, fields)
            end = len(origin.name) - len(field)
            spelling = near.upper() if origin.kind == "variable" else near
            meant = f"{origin.name[:end]}{spelling}" if near else ""
            other = KINDS[kind].elsewhere.get(field, "")
            problem = Problem("unknown", origin.where, nearest=meant)
            if other:
                problem = Problem("unknown", origin.where, allowed=other)

            if origin.kind == "argument":
                reader.wrong_arguments.append(str(problem))
            else:
                reader.problems.append(problem)

            continue

        value, usable = reader.parse_named(fields[field].kind, raw, origin)
        if usable:
            layer.setdefault((kind, spelt), {})[field] = NamedValue(value, origin)

    return layer


def _pinned(reader: Reader, layers: tuple[Layer, ...]) -> Mapping[str, str]:
    """Return the keys that the file sets in vain, each with the variable that wins."""
    found = {
        key: reader.origins[key].where
        for key in reader.file
        if reader.origins[key].kind in {"variable", "standard"}
    }
    variables, file = layers[:2]
    for (kind, spelt), fields in file.items():
        stronger = {
            **variables.get((kind, DEFAULT), {}),
            **variables.get((kind, spelt), {}),
        }
        found |= {
            said.origin.where: stronger[field].origin.where
            for field, said in fields.items()
            if field in stronger
        }

    return MappingProxyType(found)
