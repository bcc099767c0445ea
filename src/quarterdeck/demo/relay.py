"""The sample platform's way to the outside: an SMTP relay and a database that go wrong on demand.

The errors are raised as real exceptions, several calls deep, so their stack traces are real.
"""

import smtplib
from collections.abc import Mapping
from random import Random
from typing import Any

from quarterdeck.demo.scenario import Trouble


class DatabaseError(Exception):
    """Root of what the platform's database raises."""


class DeadlockDetected(DatabaseError):
    """As PostgreSQL drivers call it."""


class PoolExhausted(DatabaseError):
    """As connection pools call it."""


class QueryCanceled(DatabaseError):
    """As PostgreSQL drivers call it."""


class SmtpRelay:
    """Delivers nothing to nobody; `trouble` decides which step of the session fails."""

    def __init__(self, host: str, trouble: Trouble | None, dice: Random) -> None:
        self._host = host
        self._trouble = trouble
        self._dice = dice

    def deliver(self, sender: str, recipient: str) -> None:
        """One SMTP session.

        Raises:
            smtplib.SMTPException, TimeoutError: as the trouble has it.
        """
        self._connect()
        self._login()
        self._send_message(sender, recipient)

    def _connect(self) -> None:
        if self._trouble is Trouble.CONNECT_TIMEOUT:
            raise TimeoutError(f"connect to {self._host}:587 timed out after 30 s")

    def _login(self) -> None:
        if self._trouble is Trouble.BAD_CREDENTIALS:
            raise smtplib.SMTPAuthenticationError(535, "5.7.8 Authentication credentials invalid")

    def _send_message(self, sender: str, recipient: str) -> None:
        self._mail_from(sender)
        self._rcpt_to(recipient)
        self._data()

    def _mail_from(self, sender: str) -> None:
        if self._trouble is Trouble.RATE_LIMITED:
            address = f"203.0.113.{self._dice.randint(10, 29)}"
            text = f"4.7.0 Try again later: {address} is rate limited, too many messages"
            raise smtplib.SMTPSenderRefused(421, text.encode(), sender)

    def _rcpt_to(self, recipient: str) -> None:
        if self._trouble is Trouble.UNKNOWN_RECIPIENT:
            text = b"5.1.1 The email account that you tried to reach does not exist"
            raise smtplib.SMTPRecipientsRefused({recipient: (550, text)})

    def _data(self) -> None:
        if self._trouble is Trouble.DISCONNECTED:
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")


class PlatformDatabase:
    """Where the sample platform keeps its campaigns and statistics, or would."""

    def __init__(self, trouble: Trouble | None, dice: Random) -> None:
        self._trouble = trouble
        self._dice = dice

    def record(self, table: str, row: Mapping[str, Any]) -> None:
        """Write one row.

        Raises:
            DeadlockDetected, PoolExhausted, QueryCanceled: as the trouble has it.
        """
        self._acquire_connection()
        self._execute(table, row)

    def _acquire_connection(self) -> None:
        if self._trouble is Trouble.POOL_EXHAUSTED:
            raise PoolExhausted("connection pool exhausted: 20 of 20 in use, waited 10.0 s")

    def _execute(self, table: str, row: Mapping[str, Any]) -> None:
        if self._trouble is Trouble.STATEMENT_TIMEOUT:
            raise QueryCanceled(f"canceling statement due to statement timeout, relation {table}")
        if self._trouble is Trouble.DEADLOCK:
            self._wait_for_row_lock(row)

    def _wait_for_row_lock(self, row: Mapping[str, Any]) -> None:
        one, other = self._dice.randrange(2000, 9000), self._dice.randrange(2000, 9000)
        raise DeadlockDetected(
            f"deadlock detected\nDETAIL: Process {one} waits for ShareLock on transaction "
            f"{self._dice.randrange(10**6, 10**7)}; blocked by process {other}. "
            f"Workspace {row.get('workspace_id', 'unknown')}."
        )
