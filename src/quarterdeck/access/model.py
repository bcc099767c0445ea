"""Who asks, and what they may do. Pure data."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What a principal is here for."""

    VIEWER = "viewer"
    INGEST = "ingest"
    OPS = "ops"
    ADMIN = "admin"


class Right(StrEnum):
    """What a route asks for."""

    READ = "read"
    CHANGE = "change"
    INGEST = "ingest"
    ADMINISTER = "administer"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.INGEST: frozenset({Right.INGEST}),
    Role.OPS: frozenset({Right.READ, Right.CHANGE}),
    Role.ADMIN: frozenset({Right.READ, Right.CHANGE, Right.INGEST, Right.ADMINISTER}),
}

BY_REACH = (Role.ADMIN, Role.OPS, Role.VIEWER, Role.INGEST)
"""Who holds several roles acts in the first of these."""


def has_right(role: Role, right: Right) -> bool:
    """Whether the role may do this."""
    return right in RIGHTS[role]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `id` is `token:<id>` or `jwt:<sub>`: it names them in limits and in the audit."""

    id: str
    name: str
    role: Role
    kind: Literal["token", "jwt"]
    valid_until: datetime | None = field(default=None, compare=False)
    """When what it was shown with ends; None: not by itself."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as we know it; its secret is nowhere in here."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute; None: not used yet."""
