"""What X-Ray indexes and what it only keeps: annotations and metadata."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING

import orjson

from svcready.tracing._attributes import ANNOTATIONS, METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from svcready.tracing.xray._reading import Given

__all__ = ["MAX_ANNOTATIONS", "RESOURCE", "Index", "fit_key"]

RESOURCE = "otel.resource."
"""What the resource's attributes begin with among a segment's."""

MAX_ANNOTATIONS = 50
"""X-Ray's limit for a trace; no document alone can have more."""
_CUT = len(RESOURCE)
_MAX_KEY_CHARS = 500
_MAX_TEXT_CHARS = 1000
_MAX_KEPT = 2048
_UNFIT = re.compile("[^A-Za-z0-9_]")
_MAX_INT = 2**63

_fit: dict[str, str] = {}


def fit_key(key: str) -> str:
    """Return *key* in the characters of an annotation's key."""
    known = _fit.get(key)
    if known is None:
        known = _UNFIT.sub("_", key)[:_MAX_KEY_CHARS] or "_"
        if len(_fit) >= _MAX_KEPT:
            _fit.clear()

        _fit[key] = known

    return known


class Index:
    """
    Divides attributes into those that are indexed and those that are only kept.

    Args:
        names: What to index, beside what code annotates; the resource's attributes
            begin with `otel.resource.`. The name `all` means every attribute.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._every = "all" in names
        self._names = tuple(name for name in names if name != "all")
        self._left: tuple[Mapping[str, object] | None, dict[str, object]] = (None, {})

    def annotate(
        self,
        document: dict[str, object],
        given: Given,
        metadata: dict[str, dict[str, object]],
        resource: Mapping[str, object] | None,
    ) -> None:
        """
        Put annotations into *document*; those that code made come first.

        Args:
            document: Gets them.
            given: The span's attributes.
            metadata: Gets the resource's attributes that are not annotations.
            resource: The resource's attributes, for a segment; else None.
        """
        values = given.values
        names = self._names
        listed = values.get(ANNOTATIONS)
        if isinstance(listed, list | tuple):
            given.taken.add(ANNOTATIONS)
            listed = [name for name in listed if isinstance(name, str)]
            names = tuple(dict.fromkeys((*listed, *names)))

        made: dict[str, object] = {}
        if names:
            _annotate(made, names, values, given.taken)

        if self._every:
            taken = given.taken
            rest = [n for n in values if n not in taken and not n.startswith(METADATA)]
            _annotate(made, rest, values, taken)

        if resource:
            rest_of = self._annotate_resource(made, names, resource)
            if rest_of:
                metadata.setdefault("default", {}).update(rest_of)

        if made:
            document["annotations"] = made

    def _annotate_resource(
        self,
        made: dict[str, object],
        names: Sequence[str],
        resource: Mapping[str, object],
    ) -> Mapping[str, object]:
        """Add to *made*, and return what of *resource* is left."""
        chosen = [name[_CUT:] for name in names if name.startswith(RESOURCE)]
        if self._every:
            chosen += resource

        if not chosen:  # the same for nearly all segments of a process
            if self._left[0] is not resource:
                whole = {RESOURCE + key: resource[key] for key in resource}
                self._left = (resource, whole)

            return self._left[1]

        told: set[str] = set()
        _annotate(made, chosen, resource, told, RESOURCE)
        return {RESOURCE + key: resource[key] for key in resource if key not in told}

    def keep(self, given: Given, metadata: dict[str, dict[str, object]]) -> None:
        """Put what *given* has beside what is told elsewhere into *metadata*."""
        taken = given.taken
        rest = {name: v for name, v in given.values.items() if name not in taken}
        for name in [name for name in rest if name.startswith(METADATA)]:
            if _add_namespace(name, rest[name], metadata):
                del rest[name]

        if rest:
            if "default" in metadata:
                rest.update(metadata["default"])

            metadata["default"] = rest


def _annotate(
    into: dict[str, object],
    names: Iterable[str],
    values: Mapping[str, object],
    taken: set[str],
    prefix: str = "",
) -> None:
    # What does not fit stays for metadata: lists, what is beyond the limit, the second
    # of two names that X-Ray cannot tell apart, and texts that had to be cut.
    for name in names:
        value = values.get(name)
        if not isinstance(value, str | bool | int | float):
            continue

        key = fit_key(prefix + name)
        if key in into or len(into) >= MAX_ANNOTATIONS:
            continue

        if isinstance(value, str):
            into[key] = value[:_MAX_TEXT_CHARS]
            if len(value) > _MAX_TEXT_CHARS:
                continue

        elif _is_number(value):
            into[key] = value
        else:
            into[key] = str(value)

        taken.add(name)


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)

    return isinstance(value, int) and -_MAX_INT <= value < _MAX_INT


def _add_namespace(
    name: str, value: object, metadata: dict[str, dict[str, object]]
) -> bool:
    namespace = name[len(METADATA) :]
    if not isinstance(value, str) or not namespace:
        return False

    try:
        content = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False

    if not isinstance(content, dict):
        return False

    if namespace.lower() == "default":
        namespace = "default"
    elif namespace.upper().startswith("AWS."):  # reserved by X-Ray
        namespace = f"_{namespace}"

    metadata.setdefault(namespace, {}).update(content)
    return True
