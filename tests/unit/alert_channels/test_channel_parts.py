"""What channels share: waits, words, links, memory, threads, the registry."""

import asyncio
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alert_channels.notices import HOSTILE, hostile, notice
from quarterdeck.alerts import adapters
from quarterdeck.alerts.adapters import CHANNELS, channel_factory
from quarterdeck.alerts.model import Transition
from quarterdeck.alerts.posting import encoded, retry_after_s
from quarterdeck.alerts.slots import Slots
from quarterdeck.alerts.taken import KEPT, Taken
from quarterdeck.alerts.wording import (
    headline,
    lines,
    one_line,
    plain,
    shown,
    span,
    standing,
    web_link,
)
from quarterdeck.core.errors import ConfigError

NOON = datetime(2025, 12, 4, 12, 0, 0, tzinfo=UTC)

# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("٣", None),
        ("0", 0.0), ("7", 7.0), (" 120 ", 120.0), ("86401", 86_400.0), ("9" * 5000, 86_400.0),
        ("Thu, 04 Dec 2025 12:02:00 GMT", 120.0), ("Thu, 04 Dec 2025 12:02:00 -0000", 120.0),
        ("Thursday, 04-Dec-25 12:02:00 GMT", 120.0), ("Thu Dec  4 12:02:00 2025", 120.0),
        ("Thu, 04 Dec 2025 11:00:00 GMT", 0.0), ("Thu, 04 Dec 2099 11:00:00 GMT", 86_400.0),
        ("Thu, 99 Dec 2025 12:02:00 GMT", None), ("Thu, 04 Dec 9999999 12:02:00 GMT", None),
    ],
    ids=[
        "none", "empty", "word", "negative", "fraction", "other-digits", "zero", "seconds",
        "spaces", "more-than-a-day", "huge", "date", "date-without-zone", "date-rfc850",
        "date-asctime", "past", "far-future", "no-date", "no-year",
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOON) == seconds


@given(st.text(max_size=60))
def test_retry_after_of_any_text_is_a_wait_or_none(value: str) -> None:
    wait_s = retry_after_s(value, NOON)
    assert wait_s is None or 0 <= wait_s <= 86_400


# Words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"), (0, "0 s"), (0.9, "0 s"), (45, "45 s"), (60, "1 min"), (723, "12 min 3 s"),
        (3600, "1 h"), (7500, "2 h 5 min"), (86_400, "1 d"), (273_600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_span_has_two_units(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(5400.0, "5400"), (0.25, "0.25"), (True, "yes"), (False, "no"), (None, "unknown"),
     ("down", "down"), (float("inf"), "inf"), (1e18, "1e+18")],
    ids=["whole", "fraction", "true", "false", "none", "text", "infinite", "large"],
)  # fmt: skip
def test_value_is_shown_shortly(value: float | str | bool | None, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("transition", Transition)
def test_each_transition_has_words(transition: Transition) -> None:
    assert standing(notice(transition)).endswith(".")
    assert ": error: SMTP Service: " in headline(notice(transition), 200)


@given(st.text(), st.integers(1, 50))
def test_lines_keep_to_their_limit(text: str, limit: int) -> None:
    assert len(one_line(text, limit)) <= limit
    assert one_line(text, limit).splitlines() in ([], [one_line(text, limit)])
    assert len(lines(text, limit)) <= limit
    assert "\r" not in lines(text, limit)


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_has_no_control_characters(text: str) -> None:
    said = plain(hostile(HOSTILE[text]), 5000)
    assert [c for c in said if ord(c) < 32 and c not in "\n\t"] == []
    assert "\u202e" not in said
    assert len(said) < 20_000


@pytest.mark.parametrize(
    ("url", "link"),
    [
        (None, None), ("", None), ("javascript:alert(1)", None), ("data:text/html,x", None),
        ("//example.org", None), ("https://", None), ("https://[::1", None),
        ("https://example.org/" + "x" * 2000, None),
        ("https://example.org/a%20b?c=d#e", "https://example.org/a%20b?c=d#e"),
        ("https://[::1]:8/x", "https://[::1]:8/x"),
        ("https://example.org/a|b>c<d\"e f\r\n", "https://example.org/a%7Cb%3Ec%3Cd%22e%20f%0D%0A"),
        ("https://example.org/ü", "https://example.org/%C3%BC"),
        ("https://example.org/\ud800", "https://example.org/%EF%BF%BD"),
    ],
    ids=[
        "none", "empty", "script", "data", "no-scheme", "no-host", "broken", "long", "plain",
        "ipv6", "markup", "umlaut", "surrogate",
    ],
)  # fmt: skip
def test_link_is_a_web_address_without_markup(url: str | None, link: str | None) -> None:
    assert web_link(url) == link


def test_json_takes_any_text_and_number() -> None:
    assert encoded({"a\ud800": ["\0", 1.5, True, None]}) == (
        '{"a\ufffd":["\ufffd",1.5,true,null]}'.encode()
    )
    assert encoded([float("nan"), float("inf")]) == b"[null,null]"


# Who has taken it


def test_taken_remembers_until_all_have_it() -> None:
    taken = Taken()
    taken.add("n1", frozenset({"a"}))
    taken.add("n1", frozenset({"b"}))
    assert taken.by("n1") == {"a", "b"}
    assert taken.by("n2") == frozenset()
    taken.forget("n1")
    taken.forget("n1")
    assert taken.by("n1") == frozenset()


def test_taken_forgets_the_oldest() -> None:
    taken = Taken()
    for number in range(KEPT + 1):
        taken.add(f"n{number}", frozenset({"a"}))
    assert taken.by("n0") == frozenset()
    assert taken.by("n1") == {"a"}


# Threads


async def test_call_that_raises_is_a_false() -> None:
    def broken() -> bool:
        raise RuntimeError("s3cret")

    assert await Slots(1).run(broken) is False


async def test_cancelled_call_keeps_its_slot_until_it_ends() -> None:
    slots, gate = Slots(1), threading.Event()
    first = asyncio.create_task(slots.run(lambda: gate.wait(60)))
    second = asyncio.create_task(slots.run(lambda: True))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert not second.done()
    gate.set()
    assert await second


def test_call_that_never_ends_does_not_keep_the_program() -> None:
    program = (
        "import asyncio, threading\n"
        "from quarterdeck.alerts.slots import Slots\n"
        "async def main():\n"
        "    task = asyncio.create_task(Slots(1).run(lambda: threading.Event().wait()))\n"
        "    await asyncio.sleep(0)\n"
        "    task.cancel()\n"
        "    await asyncio.wait([task])\n"
        "asyncio.run(main())\n"
        "print('over')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "over\n"


# The registry


def test_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'pigeon'; known are webhook, slack, pagerduty"):
        channel_factory("pigeon")


@pytest.mark.parametrize("kind", CHANNELS)
def test_registered_channel_is_there_with_its_options(kind: str) -> None:
    factory = channel_factory(kind)
    module, _, name = CHANNELS[kind].partition(":")
    assert (factory.__module__, getattr(factory, "__name__", None)) == (module, name)
    assert {"name", "kind"} <= set(factory.Options.__struct_encode_fields__)


def test_adapters_folder_is_the_registry() -> None:
    files = {path.stem for path in Path(adapters.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == set(CHANNELS)
