"""What one `[[queues.sources]]` entry of kind `hybrid` may say."""

from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from quarterdeck.queues.adapters.hybrid.keys import KeyPatterns

_OWN = ("kind", "redis_url", "list_key", "job_key", "guard_key", "migrated_status")


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """One source. What the tables are called is said as for kind `sql`, and passed on to it."""

    name: str
    url: str
    """`postgresql://user:password@host/database`."""
    redis_url: str
    """`redis://`, `rediss://` or `unix://`."""
    kind: str = "hybrid"
    list_key: Annotated[
        str, Meta(pattern=r"\{name\}.*\{band\}", description="a text with {name} and {band}")
    ] = "queue:{name}{band}"
    """The lists; `{band}` becomes `:high`, `:low` or nothing."""
    job_key: Annotated[str, Meta(pattern=r"\{id\}", description="a text with {id}")] = "job:{id}"
    guard_key: Annotated[str, Meta(pattern=r"\{name\}", description="a text with {name}")] = (
        "recent_jobs:{name}"
    )
    """The sets of ids that the migrator passes over."""
    migrated_status: str = "migrated_to_redis"
    schema: str = ""
    tables: dict[str, str] = {}
    columns: dict[str, dict[str, str]] = {}
    statuses: dict[str, list[str]] = {}
    counters: str = "detect"

    def patterns(self) -> KeyPatterns:
        """How the Redis keys are made."""
        return KeyPatterns(self.list_key, self.job_key, self.guard_key)

    def of_rows(self) -> dict[str, Any]:
        """What the SQL engine is to be built with."""
        return {key: value for key, value in structs.asdict(self).items() if key not in _OWN}
