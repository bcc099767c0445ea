"""Settings: who wins, what is refused, and that a refusal says where and what was expected."""

import os
import string
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck import config
from quarterdeck.core.errors import ConfigError

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(config.PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "quarterdeck.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def refusal(path: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return caught.value.message


# Who wins


def test_nothing_given_is_the_defaults() -> None:
    loaded = config.load()
    assert loaded == config.Settings()
    assert (loaded.server.host, loaded.server.port) == ("127.0.0.1", 8080)


def test_file_beats_defaults_environment_beats_file_flags_beat_environment(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write('[server]\nhost = "file"\nport = 1\ndata_dir = "file"\n')
    monkeypatch.setenv("QUARTERDECK_SERVER_PORT", "2")
    monkeypatch.setenv("QUARTERDECK_SERVER_DATA_DIR", "environment")
    server = config.load(path, {"server.data_dir": "flag", "server.host": None}).server
    assert (server.host, server.port, server.data_dir) == ("file", 2, "flag")
    assert server.log_level == "info"


@pytest.mark.parametrize(("name", "key"), sorted(config.SHORT_NAMES.items()))
def test_short_name_sets_its_key(name: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"server.port": "9", "rate_limit.default": "5/second"}.get(key, "elsewhere")
    monkeypatch.setenv(name, value)
    section, _, field = key.partition(".")
    assert str(getattr(getattr(config.load(), section), field)) == value


def test_long_name_beats_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUARTERDECK_PORT", "1")
    monkeypatch.setenv("QUARTERDECK_SERVER_PORT", "2")
    assert config.load().server.port == 2


def test_nested_section_has_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUARTERDECK_ACCESS_JWT_LEEWAY_S", "7")
    assert config.load().access.jwt.leeway_s == 7


def test_list_in_a_variable_is_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUARTERDECK_SERVER_TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2,")
    monkeypatch.setenv("QUARTERDECK_ACCESS_JWT_ALGORITHMS", "ES256")
    monkeypatch.setenv("QUARTERDECK_QUEUES_REDACT_KEYS", "")
    loaded = config.load()
    assert list(loaded.server.trusted_proxies) == ["10.0.0.1", "10.0.0.2"]
    assert list(loaded.access.jwt.algorithms) == ["ES256"]
    assert not loaded.queues.redact_keys


def test_every_named_variable_is_accepted_and_reaches_its_key() -> None:
    tree = msgspec.to_builtins(config.Settings())
    for name, key in config.setting_names().items():
        node = tree
        for part in key.split("."):
            assert part in node, (name, key)
            node = node[part]


# Secrets from elsewhere


def test_file_variable_gives_the_content_without_its_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret \n")
    monkeypatch.setenv("QUARTERDECK_ACCESS_SECRET_FILE", str(secret))
    assert config.load().access.secret == "s3cret "


def test_file_variable_of_a_missing_file_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTERDECK_STATE_URL_FILE", str(tmp_path / "gone"))
    message = refusal()
    assert "QUARTERDECK_STATE_URL_FILE" in message
    assert str(tmp_path / "gone") in message


def test_references_are_resolved_also_inside_sources(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text("postgresql://shop\n")
    monkeypatch.setenv("SHOP_SECRET", "x" * 40)
    loaded = config.load(
        write(
            '[access]\nsecret = "${env:SHOP_SECRET}"\n'
            f'[[queues.sources]]\nname = "a"\nurl = "${{file:{tmp_path / "url"}}}"\n'
        )
    )
    assert loaded.access.secret == "x" * 40
    assert loaded.queues.sources == [{"name": "a", "url": "postgresql://shop"}]


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ("${env:NOT_THERE}", "NOT_THERE"),
        ("${file:/not/there}", "/not/there"),
        ("${file:\\u0000}", "null"),
    ],
)
def test_dangling_reference_names_key_line_and_what_is_missing(
    reference: str, named: str, write: Write
) -> None:
    path = write(f'[[queues.sources]]\nname = "a"\n\n[[queues.sources]]\nurl = "{reference}"\n')
    message = refusal(path)
    assert message.startswith(f"queues.sources[1].url ({path} line 5)")
    assert named in message


# What is refused, and how


WRONG = [
    ("[server]\nport = 'x'\n", "server.port", 2, "expected `int`, got `str`"),
    ("[server]\nport = 70000\n", "server.port", 2, "expected `int` <= 65535"),
    ("[server]\n# aside\npotr = 1\n", "server.potr", 3, "there is no such setting"),
    ("[sever]\nport = 1\n", "sever", 1, "there is no such setting"),
    ("server = 5\n", "server", 1, "expected `object`, got `int`"),
    ("server.port = -1\n", "server.port", 1, "expected `int` >= 0"),
    ("[server]\nlog_level = 'loud'\n", "server.log_level", 2, "invalid enum value 'loud'"),
    ("[rate_limit]\ndefault = 'often'\n", "rate_limit.default", 2, "a rate such as 100/minute"),
    ("[rate_limit]\nconsole = '0/minute'\n", "rate_limit.console", 2, "a rate such as 100/minute"),
    ("[access]\n[access.jwt]\nissuer = 1\n", "access.jwt.issuer", 3, "expected `str`, got `int`"),
    ("[access.jwt]\nisuer = ''\n", "access.jwt.isuer", 2, "there is no such setting"),
    ("[access.jwt.roles]\nops = 'king'\n", "access.jwt.roles[...]", 1, "enum value 'king'"),
    (
        "[access.jwt]\nalgorithms = [\n  'ES256',\n  'none',\n]\n",
        "access.jwt.algorithms[1]",
        2,
        "invalid enum value 'none'",
    ),
    ("[[queues.sources]]\nname = 'a'\n[queues.x]\n", "queues.x", 3, "there is no such setting"),
    ("[queues]\nsources = [1]\n", "queues.sources[0]", 2, "expected `object`, got `int`"),
]


@pytest.mark.parametrize(("text", "key", "line", "expected"), WRONG, ids=[row[1] for row in WRONG])
def test_wrong_setting_names_key_line_and_what_was_expected(
    text: str, key: str, line: int, expected: str, write: Write
) -> None:
    path = write(text)
    message = refusal(path)
    assert message.startswith(f"{key} ({path} line {line}): ")
    assert expected in message


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("QUARTERDECK_PORT", "many", "server.port (QUARTERDECK_PORT): expected `int`"),
        ("QUARTERDECK_PORT", "", "server.port (QUARTERDECK_PORT): expected `int`"),
        ("QUARTERDECK_RATE_LIMIT", "x", "rate_limit.default (QUARTERDECK_RATE_LIMIT): expected a"),
        (
            "QUARTERDECK_ACCESS_JWT_ALGORITHMS",
            "ES256,none",
            "access.jwt.algorithms[1] (QUARTERDECK_ACCESS_JWT_ALGORITHMS): invalid enum value",
        ),
    ],
)
def test_wrong_variable_is_named_even_when_the_file_sets_the_key_too(
    name: str, value: str, expected: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    path = write("server.port = 1\nrate_limit.default = '1/day'\naccess.jwt.algorithms = []\n")
    assert refusal(path).startswith(expected)


def test_wrong_flag_is_named() -> None:
    with pytest.raises(ConfigError, match=r"server\.data_dir \(--data-dir\): expected `str`"):
        config.load(None, {"server.data_dir": 5})


@pytest.mark.parametrize(
    "name",
    [
        "QUARTERDECK_PROT",
        "QUARTERDECK_SERVER_PORTS",
        "QUARTERDECK_",
        "QUARTERDECK_SERVER",
        "QUARTERDECK_QUEUES_SOURCES",
        "QUARTERDECK_NOTHING_FILE",
    ],
)
def test_unknown_variable_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    message = refusal()
    assert name in message
    assert "docs/settings.md" in message


def test_variables_of_the_clients_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.CLIENT_NAMES:
        monkeypatch.setenv(name, "anything")
    assert config.load() == config.Settings()


def test_variable_below_a_value_that_should_be_a_table_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTERDECK_PORT", "1")
    assert refusal(write("server = 5\n")) == "server: expected a table, [server], not a value."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[server\n", "not valid TOML"),
        (b"a = " + b"1" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 5000, "not valid TOML"),
        (b".".join([b"a"] * 5000) + b" = 1", "nested too deeply"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_file_that_is_no_settings_file_is_refused(
    content: bytes, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    message = refusal(path)
    assert str(path) in message
    assert expected in message


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.toml").startswith("Cannot read the settings file")


# The adapters' own keys


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """What an adapter may be told."""

    name: str
    port: int = 1
    columns: dict[str, str] = {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port = 'x'", "queues.sources[1].port ({} line 5): expected `int`, got `str`."),
        ("prot = 1", "queues.sources[1].prot ({} line 5): there is no such setting."),
        ("name2 = 1", "queues.sources[1].name2 ({} line 5): there is no such setting."),
    ],
)
def test_wrong_key_of_a_source_names_key_line_and_what_was_expected(
    text: str, expected: str, write: Write
) -> None:
    path = write(f"[[queues.sources]]\nname = 'a'\n[[queues.sources]]\nname = 'b'\n{text}\n")
    entry = config.load(path).queues.sources[1]
    with pytest.raises(ConfigError) as caught:
        config.decode_options(entry, Options, "queues.sources[1]", path)
    assert caught.value.message == expected.format(path)


def test_missing_key_of_a_source_names_its_table(write: Write) -> None:
    path = write("[[queues.sources]]\nport = 1\n")
    with pytest.raises(ConfigError) as caught:
        config.decode_options({"port": 1}, Options, "queues.sources[0]", path)
    assert caught.value.message.startswith(f"queues.sources[0] ({path} line 1): ")
    assert "`name`" in caught.value.message


# What is shown


def test_masked_shows_no_secret_and_everything_else(write: Write) -> None:
    path = write(
        "[server]\nhost = 'h'\n[state]\nurl = 'postgresql://u:pw@h/d'\n"
        "[rate_limit]\nredis_url = 'redis://:pw@h'\n"
        "[access]\nsecret = 'pw'\n[access.jwt]\nsecret = 'pw'\njwks_url = 'https://id/keys'\n"
        "[[queues.sources]]\nname = 'a'\nurl = 'pw'\n[queues.sources.redis]\nPassword = 'pw'\n"
        "[[queues.sources]]\nname = 'b'\npassword = 1234\n"
    )
    shown = config.masked(config.load(path))
    text = msgspec.json.encode(shown).decode()
    assert "pw" not in text.replace("passw", "")
    assert "1234" not in text
    assert shown["server"]["host"] == "h"
    assert shown["access"]["jwt"]["jwks_url"] == "https://id/keys"
    assert shown["queues"]["sources"][0]["redis"] == {"Password": "***"}


def test_masked_shows_that_a_secret_is_not_set() -> None:
    assert config.masked(config.Settings())["access"]["secret"] == ""


# Whatever the file holds


KEYS = st.sampled_from(
    ["server", "port", "access", "jwt", "roles", "queues", "sources", "rate_limit", "default", "x"]
)
DOTTED = st.lists(KEYS, min_size=1, max_size=4).map(".".join)
VALUES = st.one_of(
    st.sampled_from(
        ["nan", "-inf", "1979-05-27T07:32:00Z", "07:32:00", "[]", "{}", "[[1]]", "true", "'ops'",
         '"${env:}"', '"${env:HOME}"', '"${file:.}"', '"${file:\\u0000}"', '"100/minute"', "1e400"]
    ),
    st.integers().map(str),
    st.text(string.printable, max_size=8).map(repr),
)  # fmt: skip
LINES = st.one_of(
    st.builds("{} = {}".format, DOTTED, VALUES),
    DOTTED.map("[{}]".format),
    DOTTED.map("[[{}]]".format),
    st.text(max_size=20),
)


@pytest.mark.slow
@given(text=st.one_of(st.text(), st.lists(LINES, max_size=8).map("\n".join)))
@settings(max_examples=400)
def test_no_text_makes_load_raise_anything_else(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "any.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            assert isinstance(config.load(path), config.Settings)
        except ConfigError as error:
            assert str(path) in error.message
