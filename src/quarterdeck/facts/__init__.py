"""ClickHouse for what never changes: one interface over the embedded engine and servers."""

from quarterdeck.facts.opening import open_facts
from quarterdeck.facts.ports import Facts, Insert, Limits, Param, QueryLimit, RowsRefused
from quarterdeck.facts.recorder import Recorder, RecordTable
from quarterdeck.facts.schema import migrate_facts
from quarterdeck.facts.unopened import UnopenedFacts

__all__ = [
    "Facts",
    "Insert",
    "Limits",
    "Param",
    "QueryLimit",
    "RecordTable",
    "Recorder",
    "RowsRefused",
    "UnopenedFacts",
    "migrate_facts",
    "open_facts",
]
