"""Searches as SQL: of the form that indexes serve, and with nothing from a user in it."""

# ruff: noqa: RUF001 - signs that look alike are what is tested here

import re
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.logs.conditions import field_value, where
from quarterdeck.logs.model import Filter, Level

LOWER = "lowerUTF8(message)"
MOMENT = datetime(2026, 11, 16, tzinfo=UTC)
MICROS = int(MOMENT.timestamp()) * 1_000_000


def sql(query: str) -> str:
    """The condition with the values in it, to be read."""
    condition = where(Filter(query=query))
    return re.sub(r"\{(\w+):\w+\}", lambda m: f"<{condition.params[m[1]]}>", condition.sql)


@pytest.mark.parametrize("query", [None, "", "  ", "level:*", "timestamp:*"])
def test_no_wish_is_every_line(query: str | None) -> None:
    assert where(Filter(query=query)).sql == "1"


def test_fields_of_a_filter_are_columns_as_they_are() -> None:
    condition = where(
        Filter(
            level=Level.ERROR, min_level=Level.WARNING, service="s", start=MOMENT, end=MOMENT,
            request_id="r", user_id="u", tenant_id="t",
        )
    )  # fmt: skip
    assert condition.sql == (
        "(level = {p0:String} AND level IN ({p1:String}, {p2:String}) AND service = {p3:String} "
        "AND request_id = {p4:String} AND user_id = {p5:String} AND tenant_id = {p6:String} "
        "AND timestamp >= fromUnixTimestamp64Micro({p7:Int64}, 'UTC') "
        "AND timestamp <= fromUnixTimestamp64Micro({p8:Int64}, 'UTC'))"
    )
    assert list(condition.params.values()) == [
        "error", "warning", "error", "s", "r", "u", "t", MICROS, MICROS,
    ]  # fmt: skip


CONDITIONS = {
    "Word": f"(hasToken({LOWER}, lowerUTF8(<Word>)) AND {LOWER} LIKE lowerUTF8(<%Word%>))",
    '"a phrase"': f"{LOWER} LIKE lowerUTF8(<%a phrase%>)",
    r'"100%_\\"': f"{LOWER} LIKE lowerUTF8(<%100\\%\\_\\\\%>)",
    "*mid*": f"{LOWER} LIKE lowerUTF8(<%mid%>)",
    "/[0-9]+/": "multiMatchAny(message, [<[0-9]+>])",
    r"/\b[45]\d\d \d\.\d\b/": r"multiMatchAny(message, [<\b[45]\d\d \d\.\d\b>])",
    "/[0-9]+$/": "match(message, <[0-9]+$>)",
    "/cat/": "match(message, <cat>)",
    "/Lease/": f"({LOWER} LIKE lowerUTF8(<%lease%>) AND match(message, <Lease>))",
    "/lease .* ok/": (
        f"({LOWER} LIKE lowerUTF8(<%lease %>) "
        f"AND indexHint({LOWER} LIKE lowerUTF8(<%lease % ok%>)) "
        "AND match(message, <lease .* ok>))"
    ),
    "/lost|found/i": (
        f"(({LOWER} LIKE lowerUTF8(<%found%>) OR {LOWER} LIKE lowerUTF8(<%lost%>) "
        f"OR {LOWER} LIKE lowerUTF8(<%loſt%>)) AND match(message, <(?i)lost|found>))"
    ),
    "service:(a OR b) -level:error": (
        "((service = <a> OR service = <b>) AND NOT (level IN (<error>)))"
    ),
    "user_id:a_b*": r"user_id LIKE <a\_b%>",
    "level:>error": "0",
    "timestamp:>=2026-11-16": f"timestamp >= fromUnixTimestamp64Micro(<{MICROS}>, 'UTC')",
}


@pytest.mark.parametrize("query", CONDITIONS)
def test_condition_has_the_form_that_indexes_serve(query: str) -> None:
    assert sql(query) == CONDITIONS[query]


NEEDLES = {
    "host:node-1": '"node-1"',
    "host:node-*": "node-",
    "host:*ab*cde": "cde",
    "host:5": 'host"',
    "host:2026.11.3": '"2026.11.3"',
    "host:5*": 'host"',
    "host:true": 'host"',
    "host:*": 'host"',
    r'host:"a\"b"': 'host"',
    "http.status:>5": 'status"',
    r'"a\"b":5': None,
    r'"a\"b":c': '"c"',
}


@pytest.mark.parametrize("query", NEEDLES)
def test_metadata_are_parsed_only_where_a_text_is_in_them(query: str) -> None:
    found = re.findall(
        r"position\(metadata, <(.*?)>\) \+ position\(metadata, '\\\\'\) > 0", sql(query)
    )
    assert found == ([] if NEEDLES[query] is None else [NEEDLES[query]])


HARMLESS = set(
    re.findall(
        r"\w+",
        "level service message request_id user_id tenant_id timestamp metadata lowerUTF8 hasToken "
        "LIKE AND OR NOT IN match indexHint replaceAll fromUnixTimestamp64Micro UTC position "
        "JSONExtractString JSONExtractRaw JSONExtractArrayRaw JSONExtractFloat JSONType "
        "arrayExists element_of_array toFloat64OrZero String Int64 UInt64 Double Bool Null null "
        "0 1 9 eE \u03c2 \u03c3",
    )
)


@given(
    st.text(alphabet=string.printable + "éΣ\0", max_size=60),
    st.text(max_size=10),
    st.text(max_size=10),
)
def test_nothing_of_a_user_is_in_the_sql(query: str, service: str, user: str) -> None:
    try:
        condition = where(Filter(query=query, service=service, user_id=user))
    except InvalidRequest:
        return
    without = re.sub(r"\{p\d+:(String|Int64|Float64)\}", "", condition.sql)
    assert set(re.findall(r"\w+", without)) <= HARMLESS
    assert condition.sql.count("(") == condition.sql.count(")")


@pytest.mark.parametrize("name", ["service", "request_id", "user_id", "tenant_id"])
def test_half_a_character_in_a_field_is_refused(name: str) -> None:
    given_fields: dict[str, Any] = {name: "a\ud800"}
    with pytest.raises(InvalidRequest) as caught:
        where(Filter(**given_fields))
    assert caught.value.details[0]["field"] == name


def test_values_of_a_field_do_not_share_parameters_with_a_search() -> None:
    assert field_value("service").sql == "toString(service)"
    value = field_value("a.b")
    assert not set(value.params) & set(where(Filter(query="a.b:c d e f")).params)
    assert value.params == {"f0": "a.b", "f1": "a", "f2": "b"}
