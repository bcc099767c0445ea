"""The registries: name -> module:class. A new source is one file beside this and one line here."""

from importlib import import_module

from quarterdeck.core.errors import InvalidRequest
from quarterdeck.reputation.mail_ports import LineReader
from quarterdeck.reputation.memory import NullSenders

LINES = {
    "neutral": "quarterdeck.reputation.adapters.neutral:NeutralReader",
    "postfix": "quarterdeck.reputation.adapters.postfix:PostfixReader",
    "exim": "quarterdeck.reputation.adapters.exim:EximReader",
    "kumomta": "quarterdeck.reputation.adapters.kumomta:KumomtaReader",
    "powermta": "quarterdeck.reputation.adapters.powermta:PowermtaReader",
}
HOOKS = {
    "ses": "quarterdeck.reputation.adapters.ses:SesHook",
    "sendgrid": "quarterdeck.reputation.adapters.sendgrid:SendgridHook",
    "mailgun": "quarterdeck.reputation.adapters.mailgun:MailgunHook",
}


def line_reader(kind: str, source: str = "", memory: NullSenders | None = None) -> LineReader:
    """A new reader of lines of this kind; `memory` may be one with readers of other sources.

    Raises:
        InvalidRequest: there is none.
    """
    if kind not in LINES:
        known = ", ".join(LINES)
        raise InvalidRequest.of("format", f"there is no such format; known are {known}", "query")
    reader: LineReader = load(LINES[kind])(source, memory or NullSenders())
    return reader


def load(path: str) -> type:
    """The class that an entry names."""
    module, _, name = path.partition(":")
    found: type = getattr(import_module(module), name)
    return found
