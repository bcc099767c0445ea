"""The room's SQL of silences."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from quarterdeck.alerts.model import Matcher, Silence
from quarterdeck.alerts.rows import silence_of
from quarterdeck.alerts.tables import alert_silences
from quarterdeck.core.errors import InvalidRequest, NotFound
from quarterdeck.core.ids import mint
from quarterdeck.core.pagination import Page
from quarterdeck.core.text import is_storable, storable
from quarterdeck.state import Database

LONGEST = timedelta(days=366)
"""What is silenced for longer should not be a rule."""

_s = alert_silences.c


class Silences:
    """Keeps them; what they withhold is decided elsewhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, silence: Silence) -> None:
        """Keep a new one."""
        values = {
            "id": silence.id,
            "matchers": msgspec.to_builtins(list(silence.matchers)),
            "author": silence.author,
            "comment": silence.comment,
            "created_at": silence.created_at,
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
        }
        await self._database.write(lambda c: c.execute(insert(alert_silences), values).rowcount)

    async def list_page(
        self, limit: int, offset: int, is_active: bool | None, now: datetime
    ) -> Page[Silence]:
        """One page, those that end last first; only those that (do not) hold now, where asked."""
        query, count = select(alert_silences), select(func.count()).select_from(alert_silences)
        if is_active is not None:
            holds = (_s.starts_at <= now) & (_s.ends_at > now)
            condition = holds if is_active else ~holds
            query, count = query.where(condition), count.where(condition)
        query = query.order_by(_s.ends_at.desc(), _s.id.desc()).limit(limit).offset(offset)

        def read(connection: Connection) -> Page[Silence]:
            found = [silence_of(row) for row in connection.execute(query)]
            return Page(found, connection.execute(count).scalar_one())

        return await self._database.read(read)

    async def end(self, silence_id: str, now: datetime) -> None:
        """End one now; one that has ended stays as it is.

        Raises:
            NotFound: there is none of this id.
        """
        this = _s.id == silence_id
        change = update(alert_silences).where(this, _s.ends_at > now).values(ends_at=now)

        def run(connection: Connection) -> bool:
            return (
                connection.execute(change).rowcount > 0
                or connection.execute(select(_s.id).where(this)).first() is not None
            )

        if not is_storable(silence_id) or not await self._database.write(run):
            raise NotFound("There is no such silence; GET /infrastructure/silences lists them all.")

    async def remove_old(self, before: datetime) -> int:
        """Forget what ended before; gives how many."""
        change = delete(alert_silences).where(_s.ends_at < before)
        return await self._database.write(lambda c: c.execute(change).rowcount)


def new_silence(
    matchers: Sequence[Matcher],
    author: str,
    comment: str,
    starts_at: datetime | None,
    ends_at: datetime,
    now: datetime,
) -> Silence:
    """A silence that may be kept; without `starts_at` it begins now.

    Raises:
        InvalidRequest: it would match nothing or everything, or its times are wrong.
    """
    if not matchers or all(each.value.strip("*") == "" for each in matchers):
        raise InvalidRequest.of(
            "matchers", "name at least one value that is not only `*`; all alerts at once "
            "cannot be silenced.", "body",
        )  # fmt: skip
    if not comment.strip():
        raise InvalidRequest.of("comment", "say why, for those who come after you.", "body")
    begins_at = now if starts_at is None else _aware(starts_at, "starts_at")
    end = _aware(ends_at, "ends_at")
    if end <= max(begins_at, now):
        raise InvalidRequest.of("ends_at", "give an end after the beginning and after now.", "body")
    if end - now > LONGEST:
        raise InvalidRequest.of(
            "ends_at", f"give an end within {LONGEST.days} days; to be rid of a rule, disable it "
            "in the settings.", "body",
        )  # fmt: skip
    return Silence(
        id=mint("silence"),
        matchers=tuple(Matcher(storable(m.name), storable(m.value)) for m in matchers),
        author=author,
        comment=storable(comment.strip()),
        created_at=now,
        starts_at=begins_at,
        ends_at=end,
    )


def _aware(moment: datetime, field: str) -> datetime:
    if moment.tzinfo is None:
        raise InvalidRequest.of(field, "give a time with its offset, such as ...T10:00:00Z", "body")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest.of(field, "give a time that exists in UTC", "body") from None
