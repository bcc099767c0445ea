"""SQL for what changes: one interface over SQLite and PostgreSQL. Knows no room."""

from quarterdeck.state.database import Database, open_database
from quarterdeck.state.lock import DataDirLock
from quarterdeck.state.migrate import migrate

__all__ = ["DataDirLock", "Database", "migrate", "open_database"]
