"""Segments and subsegments as the X-Ray SDK's API hands them out."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from svcready.tracing._contents import rename
from svcready.tracing.xray._sdk_bridge._entity import Joined, quiet
from svcready.tracing.xray._sdk_bridge._semantics import (
    aws_attributes,
    sql_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from svcready.tracing._attributes import Attributes

__all__ = ["JoinedSegment", "JoinedSubsegment"]

_CALLS = frozenset(("remote", "aws"))


class JoinedSegment(Joined):
    """The segment of a request, which is its server span, or one of a script."""

    is_segment = True
    user: str | None = None

    def set_user(self, user: str) -> None:
        """Say who the request is for; X-Ray indexes it."""
        self.user = user
        self.put(lambda: {"enduser.id": user})

    def set_service(self, service_info: object) -> None:
        """Do nothing: the resource says what the service is."""

    def set_rule_name(self, rule_name: str) -> None:
        """Do nothing: svcready's sampler decided."""


class JoinedSubsegment(Joined):
    """
    A subsegment: a span inside another.

    Args:
        span: What it stands for.
        attributes: Redacts what goes into the span.
        context: The OpenTelemetry context in which the span is current.
        name: Its name.
        namespace: `local`, `remote` or `aws`.
        segment: Gives the segment that it is in.
        owned: It was begun through the SDK.
    """

    type = "subsegment"

    def __init__(
        self,
        span: Span,
        attributes: Attributes,
        context: Context,
        name: str,
        namespace: str,
        segment: Callable[[JoinedSubsegment], object],
        *,
        owned: bool,
    ) -> None:
        super().__init__(span, attributes, context, name, owned=owned)
        self.sql: Mapping[str, object] = {}
        self._segment = segment
        self._namespace = "local"
        if namespace != "local":
            self.namespace = namespace

    @cached_property
    def parent_segment(self) -> object:
        """The segment that it is in."""
        return self._segment(self)

    @property
    def name(self) -> str:
        """Its name, which is the called service's if it is a call."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        Joined.name.fset(self, name)  # type: ignore[attr-defined]
        if self._namespace == "remote":
            self._put_peer()

    @property
    def namespace(self) -> str:
        """What kind of call it is; `local` for none."""
        return self._namespace

    @namespace.setter
    def namespace(self, namespace: str) -> None:
        self._namespace = namespace
        if namespace in _CALLS and self.owned:
            with quiet:
                # The SDK's patches of databases say it after the beginning.
                vars(self.span)["_kind"] = SpanKind.CLIENT

            if namespace == "aws":
                self.put(lambda: aws_attributes(self.name, {}))
            else:
                self._put_peer()

    def set_aws(self, aws_meta: Mapping[str, object]) -> None:
        """Tell the call of AWS's API that this is."""
        self.aws = aws_meta
        self.put(lambda: aws_attributes(self.name, aws_meta))
        operation = aws_meta.get("operation")
        if operation and self.owned:
            with quiet:
                rename(self.span, self.redacting.name(f"{self.name}.{operation}"))

    def set_sql(self, sql: Mapping[str, object]) -> None:
        """Tell the query that this is."""
        self.sql = sql
        self.put(lambda: sql_attributes(sql))

    def _put_peer(self) -> None:
        self.put(lambda: {"peer.service": self.name})
