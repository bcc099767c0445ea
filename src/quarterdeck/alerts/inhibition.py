"""What depends on something that is alerting is not told of as well. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from quarterdeck.alerts.record import Record


class Inhibition:
    """Knows which subjects alert at one moment."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._rank: dict[tuple[str, str], int] = {}
        self._parents: dict[tuple[str, str], set[str]] = {}
        for record in records:
            if record.is_firing:
                key = (record.alert.source, record.alert.service)
                rank = record.alert.severity.rank
                self._rank[key] = max(rank, self._rank.get(key, 0))
                self._parents.setdefault(key, set()).update(record.memory.depends_on)

    def of(self, record: Record) -> str | None:
        """The subject whose alert withholds this one's notices; None: there is none.

        It must alert at least as severely: what is slightly wrong below does not explain an outage
        above. Subjects that depend on each other in a circle do not silence each other.
        """
        source, subject = record.alert.source, record.alert.service
        for parent in record.memory.depends_on:
            rank = self._rank.get((source, parent))
            if rank is None or rank < record.alert.severity.rank:
                continue
            if not self._reaches(source, parent, subject):
                return parent
        return None

    def _reaches(self, source: str, start: str, goal: str) -> bool:
        return goal in _closure(self._parents, source, start)


def _closure(
    parents: Mapping[tuple[str, str], Iterable[str]], source: str, start: str
) -> Sequence[str]:
    """A subject, and what it depends on, as far as that alerts."""
    found = [start]
    for subject in found:
        found += [each for each in parents.get((source, subject), ()) if each not in found]
    return found
