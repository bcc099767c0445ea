"""What readers remember of messages whose lines are not all there yet; bounded."""

from collections import OrderedDict

MOST = 200_000
"""Messages of all sources together; some 40 MB. What is forgotten counts as mail of a sender."""


class NullSenders:
    """Messages whose sender is `<>`: notices about mail.

    A message is not forgotten with its last line: when that line could not be stored, it is sent
    again, and must find what was known.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, source: str, message_id: str, sender: str) -> None:
        """A message begins; ids are used again, so that it may not be the first of this id."""
        key = (source, message_id)
        self._known.pop(key, None)
        if sender.strip("<> "):
            return
        self._known[key] = None
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def knows(self, source: str, message_id: str) -> bool:
        """Whether the message has no sender."""
        return (source, message_id) in self._known
