"""Who of several receivers has taken a notice already, when it is sent again for the others."""

from collections import OrderedDict

KEPT = 256
"""Notices that are remembered. A forgotten one costs a duplicate, never a loss."""


class Taken:
    """Remembers it within this process only."""

    def __init__(self) -> None:
        self._by_notice: OrderedDict[str, frozenset[str]] = OrderedDict()

    def by(self, notice_id: str) -> frozenset[str]:
        """Receivers that need not be told again."""
        return self._by_notice.get(notice_id, frozenset())

    def add(self, notice_id: str, receivers: frozenset[str]) -> None:
        """These have taken it, others have not yet."""
        self._by_notice[notice_id] = self.by(notice_id) | receivers
        self._by_notice.move_to_end(notice_id)
        while len(self._by_notice) > KEPT:
            self._by_notice.popitem(last=False)

    def forget(self, notice_id: str) -> None:
        """All have taken it."""
        self._by_notice.pop(notice_id, None)
