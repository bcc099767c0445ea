"""Documents say what the code does, and nothing about the machine they were written on."""

import os
import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

import quarterdeck
from quarterdeck import config
from quarterdeck.queues.adapters import ENGINES, engine_factory

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "docs" / "settings.md"
ADR = ROOT / "docs" / "adr"
RECORDS = sorted(path for path in ADR.glob("*.md") if path.name != "README.md")
MACHINE_WORDS = ["/wor" + "k/", "../sha" + "red", ".libr" + "ary"]
"""Written in two parts, so that this file does not hold them either."""


def tracked_files() -> list[Path]:
    """The files of the repository, new ones included, also when another user owns the checkout."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout.decode()  # fmt: skip
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


class Row:
    """One line of a table in docs/settings.md."""

    def __init__(self, line: str) -> None:
        key, variables, default, self.meaning = (
            cell.strip() for cell in line.strip().strip("|").split(" | ")
        )
        self.key = key.strip("` ")
        self.variables = re.findall(r"`(\w+)`", variables)
        self.default = tomllib.loads(f"value = {default.strip('`')}")["value"]


def documented() -> list[Row]:
    return [Row(line) for line in SETTINGS.read_text().splitlines() if line.startswith("| `")]


def leaves(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """The settings tree as dotted keys; `access.jwt.roles` is one setting, not a section."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        dotted = f"{above}{key}"
        if isinstance(value, dict) and dotted not in config.FILE_ONLY:
            found |= leaves(value, f"{dotted}.")
        else:
            found[dotted] = value
    return found


def test_settings_page_has_every_key_with_its_default() -> None:
    tree = msgspec.json.decode(msgspec.json.encode(config.Settings()))
    del tree["origin"]  # told by the loader, not by users
    assert {row.key: row.default for row in documented()} == leaves(tree)


def test_settings_page_has_every_variable_beside_its_key() -> None:
    assert {name: row.key for row in documented() for name in row.variables} == (
        config.setting_names()
    )


def test_settings_page_gives_each_key_a_meaning() -> None:
    assert all(row.meaning.endswith(".") for row in documented())


def test_example_of_the_settings_page_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(config.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPS_ACCESS_SECRET", "x" * 32)
    for name in ("state_url", "shop_url"):
        (tmp_path / name).write_text(f"postgresql://ops@db/{name}\n")
    examples = re.findall(r"```toml\n(.*?)```", SETTINGS.read_text(), re.DOTALL)
    assert len(examples) == 1
    path = tmp_path / "quarterdeck.toml"
    path.write_text(examples[0].replace("/run/secrets", str(tmp_path)))
    loaded = config.load(path)
    assert loaded.state.url == "postgresql://ops@db/state_url"
    assert loaded.queues.sources[0]["url"] == "postgresql://ops@db/shop_url"


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_decision_has_its_three_headings_and_a_link(record: Path) -> None:
    text = record.read_text()
    number = record.name.partition("-")[0]
    title = text.splitlines()[0].removeprefix("# ")
    assert title.startswith(f"{number}. ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Price"]
    assert "Status: accepted" in text
    assert f"- [{title}]({record.name})" in (ADR / "README.md").read_text()


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in tracked_files()
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in MACHINE_WORDS if word in text]
    assert found == []


def test_newest_version_of_the_changelog_is_ours() -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == quarterdeck.__version__


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_verbs_that_documents_name_are_in_the_makefile(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert {"help", "run", "test", "check", "bench", "format"} <= verbs
    assert set(re.findall(r"^\s*make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)) <= verbs
    assert set(re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text())) <= verbs


def test_every_documented_verb_is_in_contributing() -> None:
    verbs = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert verbs - {"help"} <= set(
        re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    )


def test_license_is_the_whole_apache_license() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_table_of_engines_is_what_they_say_of_themselves() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "engine_table.py"))
    assert written["table"]() in (ROOT / "README.md").read_text(), "run `make engine-table`"


def test_every_engine_is_described() -> None:
    text = (ROOT / "docs" / "engines.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(ENGINES)


def test_every_example_of_an_engine_is_taken() -> None:
    text = (ROOT / "docs" / "engines.md").read_text()
    for example in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        (source,) = tomllib.loads(example)["queues"]["sources"]
        options = msgspec.convert(source, engine_factory(source["kind"]).Options)
        assert options.name == source["name"]
