"""The layout of the house: files stay small, registries and folders agree."""

from pathlib import Path

import pytest

from quarterdeck.queues import adapters
from quarterdeck.queues.adapters import ENGINES, EXTRAS, engine_factory

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "quarterdeck"
BUDGET = 300
LONGER: dict[str, str] = {
    "config.py": "the settings tree, and the one place that reads the environment into it",
}
"""Files that may be longer than the budget, and why. A reason, not a habit."""


def lengths() -> dict[str, int]:
    return {
        path.relative_to(SOURCE).as_posix(): len(path.read_text().splitlines())
        for path in SOURCE.rglob("*.py")
    }


def test_files_keep_to_their_budget() -> None:
    assert {name: n for name, n in lengths().items() if n > BUDGET and name not in LONGER} == {}


def test_longer_files_still_need_their_reason() -> None:
    assert [name for name in LONGER if lengths().get(name, 0) <= BUDGET] == []


@pytest.mark.parametrize("kind", ENGINES)
def test_registered_engine_is_there_with_its_options(kind: str) -> None:
    factory = engine_factory(kind)
    assert isinstance(factory.Options, type)
    module, _, name = ENGINES[kind].partition(":")
    assert (factory.__module__ + ".").startswith(module + ".")
    assert getattr(factory, "__name__", None) == name


def test_adapters_folder_is_the_registry() -> None:
    folder = Path(adapters.__path__[0])
    there = {
        path.stem
        for path in folder.iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()
    }
    assert there == {target.partition(":")[0].rpartition(".")[2] for target in ENGINES.values()}
    assert set(EXTRAS) <= set(ENGINES)


def test_every_engine_has_a_contract_harness() -> None:
    harnesses = ROOT / "tests" / "contract"
    files = {kind: f"{kind.replace('-', '_')}_harness.py" for kind in ENGINES}
    assert {kind for kind, file in files.items() if not (harnesses / file).is_file()} == set()
