"""Segment documents from finished spans: X-Ray's shape of a trace."""

# The mapping is the one of AWS's collector, so that a service looks the same whichever
# way its spans take; docs/xray.md says where it is repaired.

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import SpanKind, StatusCode

from svcready.tracing.propagation._xray_header import format_xray_id
from svcready.tracing.xray._aws import CALL_NAMES, call_of
from svcready.tracing.xray._cause import EXCEPTION, exceptions_of, flags_of
from svcready.tracing.xray._http import HTTP_NAMES, http_of
from svcready.tracing.xray._indexed import Index
from svcready.tracing.xray._links import MAX_LINKS, has_links, links_of
from svcready.tracing.xray._names import NAME_NAMES, fit_name, is_aws, name_of
from svcready.tracing.xray._platform import place_of
from svcready.tracing.xray._reading import Given, attributes_of, events_of, ids_of
from svcready.tracing.xray._sql import SQL_NAMES, sql_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from svcready.tracing.xray._platform import Place
    from svcready.tracing.xray._reading import Ids

__all__ = ["Document", "Documents", "Options"]

Document = dict[str, object]

_OUT = frozenset({SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER})
_REMOTE_ONLY = frozenset(
    {
        "K8s.RemoteNamespace",
        "aws.remote.operation",
        "aws.remote.service",
        "remoteTarget",
    }
)
"""What a span says of whom it calls, which its own service's segment is not."""
_TOLD = frozenset(
    {"aws.span.kind", "aws.xray.inprogress"}
    | CALL_NAMES
    | HTTP_NAMES
    | NAME_NAMES
    | SQL_NAMES
)
"""Attributes of which any is told by a field of its own, or decides about one."""
_IDS = 2**64
_MAX_PLACES = 16


class Options(NamedTuple):
    """How an operator wants documents."""

    annotations: tuple[str, ...] = ()
    """Attributes to index; `all` for every one."""
    log_groups: tuple[str, ...] = ()
    """CloudWatch log groups of a service whose resource names none."""
    tracing_name: str = ""
    """The service's name on X-Ray; empty takes the resource's."""


class Documents:
    """
    Makes documents.

    Args:
        options: What an operator chose.
    """

    def __init__(self, options: Options = Options()) -> None:  # noqa: B008 - immutable
        self._options = options
        self._index = Index(options.annotations)
        self._places: dict[int, tuple[Resource, Place]] = {}

    def of(self, span: ReadableSpan) -> list[Document]:
        """
        Return the documents of *span*: a segment, a subsegment, or one of each.

        A call out of the process that is the first span here belongs to no segment:
        it gets one, for the service that made the call. A span that has not ended
        yet gives documents that say so.
        """
        values = attributes_of(span)
        told = values.get("aws.span.kind")
        ids = ids_of(span)
        local_root = ids.remote or not ids.parent_id
        if isinstance(told, str):
            local_root = told == "LOCAL_ROOT"

        if local_root and span.kind in _OUT:
            return self._pair(span, ids, values)

        segment = local_root or span.kind is SpanKind.SERVER or not ids.parent_id
        if not segment and _is_plain(span, values):
            return [self._plain(span, ids, values)]

        return [self._single(span, ids, values, segment=segment, local_root=local_root)]

    def _plain(
        self, span: ReadableSpan, ids: Ids, values: Mapping[str, object]
    ) -> Document:
        """Return what `_single` would, for the spans of which there are most."""
        document = _base(span, ids, values)
        document["name"] = fit_name(span.name)
        document["type"] = "subsegment"
        if values:
            given = Given(values)
            metadata: dict[str, dict[str, object]] = {}
            self._index.annotate(document, given, metadata, None)
            self._index.keep(given, metadata)
            if metadata:
                document["metadata"] = metadata

        return document

    def _single(
        self,
        span: ReadableSpan,
        ids: Ids,
        values: Mapping[str, object],
        *,
        segment: bool,
        local_root: bool,
    ) -> Document:
        document = _base(span, ids, values)
        given = Given(values)
        resource = attributes_of(span.resource)
        found, aws_service = name_of(span, values, resource, local_root=local_root)
        own = span.kind is SpanKind.SERVER or (
            local_root and span.kind is SpanKind.INTERNAL
        )
        name = (self._options.tracing_name if own else "") or found
        document["name"] = fit_name(name)
        given.taken.add("aws.span.kind")
        given.flag("aws.xray.inprogress")
        metadata: dict[str, dict[str, object]] = {}
        document.update(flags_of(span, given))
        http = http_of(span, given, segment=segment)
        if http is not None:
            document["http"] = http

        if segment:
            self._add_place(document, span.resource, given)
        else:
            document["type"] = "subsegment"
            namespace = _namespace(span, values, aws_service=aws_service)
            if namespace:
                document["namespace"] = namespace

            sql = sql_of(span, given)
            if sql is not None:
                document["sql"] = sql

            call = call_of(given)
            if call:
                document["aws"] = call

        self._add_cause(document, span, given, metadata)
        _add_links(document, span, metadata)
        if segment and name != span.name and span.kind is SpanKind.INTERNAL:
            _default(metadata)["otel.span.name"] = span.name

        self._index.annotate(document, given, metadata, resource if segment else None)
        self._index.keep(given, metadata)
        if metadata:
            document["metadata"] = metadata

        return document

    def _pair(
        self, span: ReadableSpan, ids: Ids, values: Mapping[str, object]
    ) -> list[Document]:
        call = self._single(span, ids, values, segment=False, local_root=True)
        service = _base(span, ids, values)
        # As random as the span's own, and the same whenever it is asked for.
        mixed = (int(ids.span_id, 16) ^ int(ids.trace_id, 16)) % _IDS
        service["id"] = f"{mixed or 1:016x}"
        resource = attributes_of(span.resource)
        service["name"] = fit_name(
            self._options.tracing_name
            or str(values.get("aws.local.service") or "")
            or str(resource.get("service.name") or "")
            or span.name
        )
        for flag in ("fault", "error", "throttle"):
            if flag in call:
                service[flag] = True

        # The service's segment points at the exception that its call's has.
        cause = call.get("cause")
        if isinstance(cause, dict):
            service["cause"] = cause["exceptions"][0]["id"]

        own = {key: values[key] for key in values if key not in _REMOTE_ONLY}
        given = Given(own)
        self._add_place(service, span.resource, given)
        metadata: dict[str, dict[str, object]] = {}
        if span.kind is SpanKind.CONSUMER:
            _add_links(service, span, metadata)
            call.pop("links", None)

        self._index.annotate(service, given, metadata, resource)
        if metadata:
            service["metadata"] = metadata

        call["parent_id"] = service["id"]
        call.setdefault("namespace", "remote")
        return [service, call]

    def _add_place(self, document: Document, resource: Resource, given: Given) -> None:
        place = self._place(resource)
        if place.origin:
            document["origin"] = place.origin

        if place.service:
            document["service"] = place.service

        xray = place.xray
        rule = given.text("aws.xray.sampling_rule")
        if rule:
            xray = {**xray, "sampling_rule_name": rule}

        document["aws"] = {**place.aws, "xray": xray}
        arn = given.text("aws.xray.resource_arn")
        if arn:
            document["resource_arn"] = arn

        user = given.text("enduser.id")
        if user:
            document["user"] = user

    def _place(self, resource: Resource) -> Place:
        known = self._places.get(id(resource))
        if known is not None and known[0] is resource:
            return known[1]

        if len(self._places) >= _MAX_PLACES:
            self._places.clear()

        place = place_of(attributes_of(resource), self._options.log_groups)
        self._places[id(resource)] = (resource, place)
        return place

    def _add_cause(
        self,
        document: Document,
        span: ReadableSpan,
        given: Given,
        metadata: dict[str, dict[str, object]],
    ) -> None:
        exceptions, whole = exceptions_of(span, given)
        if exceptions:
            document["cause"] = {"exceptions": exceptions}

        if whole:
            _default(metadata)["exception.messages"] = whole

        others = [event for event in events_of(span) if event.name != EXCEPTION]
        if others:
            _default(metadata)["otel.events"] = [
                {
                    "name": event.name,
                    "time": _seconds(event.timestamp),
                    **({"attributes": dict(values)} if values else {}),
                }
                for event in others
                for values in (attributes_of(event),)
            ]


def _is_plain(span: ReadableSpan, values: Mapping[str, object]) -> bool:
    """Tell whether only annotations and metadata tell of *span*."""
    return (
        span.kind is SpanKind.INTERNAL
        and values.keys().isdisjoint(_TOLD)
        and not events_of(span)
        and not has_links(span)
        and span.status.status_code is not StatusCode.ERROR
    )


def _base(span: ReadableSpan, ids: Ids, values: Mapping[str, object]) -> Document:
    start = span.start_time or 0
    document: Document = {
        "name": "",
        "id": ids.span_id,
        "trace_id": format_xray_id(ids.trace_id),
        "start_time": _seconds(start),
    }
    end = span.end_time
    if end is None or values.get("aws.xray.inprogress") is True:
        document["in_progress"] = True
    else:
        document["end_time"] = _seconds(max(end, start))

    if ids.parent_id:
        document["parent_id"] = ids.parent_id

    return document


def _namespace(
    span: ReadableSpan, values: Mapping[str, object], *, aws_service: bool
) -> str:
    if aws_service or is_aws(values):
        return "aws"

    if span.kind is SpanKind.CLIENT:
        return "remote"

    return "remote" if span.kind in _OUT and values.get("aws.remote.service") else ""


def _add_links(
    document: Document, span: ReadableSpan, metadata: dict[str, dict[str, object]]
) -> None:
    links = links_of(span)
    if links:
        document["links"] = links[:MAX_LINKS]

    if len(links) > MAX_LINKS:  # what X-Ray does not take as links is still told
        _default(metadata)["otel.links"] = links[MAX_LINKS:]


def _default(metadata: dict[str, dict[str, object]]) -> dict[str, object]:
    return metadata.setdefault("default", {})


def _seconds(time_ns: int) -> float:
    return (time_ns + 500) // 1000 / 1e6
