"""What a reader remembers of messages until their last line; bounded, the oldest forgotten."""

from collections import OrderedDict

MOST = 200_000
"""Messages under way; some 30 MB. What is forgotten counts as mail of a sender."""


class NullSenders:
    """Messages whose sender is `<>`: notices about mail."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[str, None] = OrderedDict()

    def note(self, message_id: str, sender: str) -> None:
        """A message begins."""
        if sender.strip("<> "):
            self._known.pop(message_id, None)
            return
        self._known[message_id] = None
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def forget(self, message_id: str) -> None:
        """It is over."""
        self._known.pop(message_id, None)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._known
