"""The composition root: the only caller of constructors, and the process that it makes."""

from quarterdeck.app.composition import (
    MIGRATIONS,
    Companion,
    Server,
    check_settings,
    compose,
    migrate_state,
    open_tokens,
    state_url,
)
from quarterdeck.app.process import serve

__all__ = [
    "MIGRATIONS",
    "Companion",
    "Server",
    "check_settings",
    "compose",
    "migrate_state",
    "open_tokens",
    "serve",
    "state_url",
]
