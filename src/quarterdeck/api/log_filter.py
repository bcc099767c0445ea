"""The search parameters of the log routes: read and checked in one place, shared by all of them.

A router gives its handlers the whole `Filter` by `dependencies=WANTED`; a handler asks for it by
the argument `wanted: Filter`. The parameters appear in the OpenAPI document of each such route.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypeVar

from litestar.di import Provide
from litestar.params import Parameter, QueryParameter

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.core.text import is_storable
from quarterdeck.logs.model import MAX_NAME, Filter, Level
from quarterdeck.logs.query import MAX_QUERY

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2299, 12, 31, tzinfo=UTC)
"""What the engine's column of times can hold; bounds beyond it mean the same as these."""

_LEVELS = {"enum": [level.value for level in Level]}
_TIME = {"format": "date-time"}
_NAME = {"max_length": MAX_NAME}
_SPACED_OFFSET = re.compile(r"(?<=\d) (?=\d\d:?\d\d\Z)")
"""`+` of an offset that was not percent-encoded arrives as a space."""

E = TypeVar("E", bound=StrEnum)

Query = Annotated[
    str | None,
    QueryParameter(
        description='Words (all of them, in any case), `"a phrase"`, `field:value`, `-word`, `OR`, '
        "`( )`, `/regex/`.",
        schema_extra={"max_length": MAX_QUERY},
        name="query",
    ),
]
OneLevel = Annotated[str | None, Parameter(description="Exactly this level.", schema_extra=_LEVELS)]
MinLevel = Annotated[
    str | None, Parameter(description="This level and those above it.", schema_extra=_LEVELS)
]
Service = Annotated[
    str | None, Parameter(description="Only lines of this service.", schema_extra=_NAME)
]
StartTime = Annotated[
    str | None,
    Parameter(
        description="At or after this moment, ISO 8601; without an offset it is UTC.",
        schema_extra=_TIME,
    ),
]
EndTime = Annotated[
    str | None,
    Parameter(
        description="Before or at this moment, ISO 8601; without an offset it is UTC.",
        schema_extra=_TIME,
    ),
]
RequestId = Annotated[
    str | None, Parameter(description="Only lines of this request.", schema_extra=_NAME)
]
UserId = Annotated[
    str | None, Parameter(description="Only lines about this user.", schema_extra=_NAME)
]
TenantId = Annotated[
    str | None, Parameter(description="Only lines about this tenant.", schema_extra=_NAME)
]


async def log_filter(  # noqa: PLR0913, PLR0917 - one argument each for the documented parameters
    expression: Query = None,  # the framework has its own idea of an argument `query`
    level: OneLevel = None,
    min_level: MinLevel = None,
    service: Service = None,
    start_time: StartTime = None,
    end_time: EndTime = None,
    request_id: RequestId = None,
    user_id: UserId = None,
    tenant_id: TenantId = None,
) -> Filter:
    """What a line must be like, from the query string."""
    return filter_of(
        {
            "query": expression,
            "level": level,
            "min_level": min_level,
            "service": service,
            "start_time": start_time,
            "end_time": end_time,
            "request_id": request_id,
            "user_id": user_id,
            "tenant_id": tenant_id,
        }
    )


WANTED = {"wanted": Provide(log_filter)}
"""The dependencies of a router of log routes."""


def filter_of(values: Mapping[str, str | None], source: str = "query") -> Filter:
    """The filter from values by parameter name; an empty one is as if it were not there.

    Raises:
        InvalidRequest: naming the field, which stands in `source`.
    """
    given = {name: value for name, value in values.items() if value}
    start = _moment("start_time", given, source)
    end = _moment("end_time", given, source)
    if start is not None and end is not None and start > end:
        raise InvalidRequest.of(
            "start_time", "give a time before end_time; nothing can be between these two.", source
        )
    return Filter(
        query=_text("query", given, MAX_QUERY, source),
        level=_member("level", given, Level, source),
        min_level=_member("min_level", given, Level, source),
        service=_text("service", given, MAX_NAME, source),
        start=start,
        end=end,
        request_id=_text("request_id", given, MAX_NAME, source),
        user_id=_text("user_id", given, MAX_NAME, source),
        tenant_id=_text("tenant_id", given, MAX_NAME, source),
    )


def _text(name: str, given: Mapping[str, str], most: int, source: str) -> str | None:
    text = given.get(name)
    if text is None:
        return None
    if len(text) > most:
        raise InvalidRequest.of(name, f"give at most {most} characters.", source)
    if not is_storable(text):
        raise InvalidRequest.of(name, "give text without NUL characters.", source)
    return text


def _member(name: str, given: Mapping[str, str], kind: type[E], source: str) -> E | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        allowed = ", ".join(member.value for member in kind)
        raise InvalidRequest.of(name, f"must be one of {allowed}", source) from None


def _moment(name: str, given: Mapping[str, str], source: str) -> datetime | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(_SPACED_OFFSET.sub("+", text.strip()))
    except ValueError:
        raise InvalidRequest.of(
            name, "give a time in ISO 8601, such as 2025-12-04T10:00:00Z.", source
        ) from None
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    # Compared before it is converted: the year 1 has no moment in UTC for every offset.
    return min(max(aware, EARLIEST), LATEST).astimezone(UTC)
