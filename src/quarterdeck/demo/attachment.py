"""How a server watches the sample platform: what is added to its settings."""

from importlib.resources import files
from typing import Any

from msgspec.structs import replace

from quarterdeck.config import Health, OurAddress, Queues, Reputation, Settings
from quarterdeck.demo.plan import Plan, Ports

OFTEN_S = 5.0
ROUND_S = 20
"""Between two rounds of look-ups, which a newcomer should not wait two hours for."""

SOURCE = "demo"
API = "API Server"
SMTP = "SMTP Service"
DATABASE = "OLTP Database"
BACKUP = "sample-backup"

ADDRESSES = (
    OurAddress("203.0.113.12", "AWS", "marketing-eu", "mta1.quarterdeck.example"),
    OurAddress("203.0.113.13", "SendGrid", "transactional"),
    OurAddress("2001:db8:25::12", "", "marketing-eu"),
)
"""Of the ranges that are reserved for examples (RFC 5737, RFC 3849)."""


def attached(settings: Settings, plan: Plan) -> Settings:
    """The settings that also watch the platform. What the user named stays as it is."""
    source = {"name": SOURCE, "kind": "sql", "url": plan.url}
    queues: Queues = replace(settings.queues, sources=[*settings.queues.sources, source])
    settings = replace(settings, queues=queues)
    if plan.ports is None:
        return settings
    return replace(
        settings,
        health=_with_services(settings.health, _services(plan.ports, plan.pace)),
        reputation=_with_addresses(settings.reputation, plan.ports, plan.pace),
    )


def _with_services(given: Health, more: list[dict[str, Any]]) -> Health:
    taken = {service.get("name") for service in given.services}
    ours = [service for service in more if service["name"] not in taken]
    return replace(given, services=[*given.services, *ours])


def _with_addresses(given: Reputation, ports: Ports, pace: float) -> Reputation:
    """The sample addresses and the sample list; a user with addresses of their own keeps those."""
    if given.addresses or given.lists_file or given.nameservers:
        return given
    from quarterdeck.reputation.lists import packaged  # noqa: PLC0415 - reads a file

    return replace(
        given,
        addresses=list(ADDRESSES),
        interval_s=max(2, round(ROUND_S / pace)),
        nameservers=[f"127.0.0.1:{ports.dns}"],
        lists_file=str(files("quarterdeck.demo") / "lists.toml"),
        # The sample platform asks nobody outside.
        disabled_lists=[each.id for each in packaged().lists],
    )


def _services(ports: Ports, pace: float) -> list[dict[str, Any]]:
    here = "127.0.0.1"
    api = {"kind": "http", "url": f"http://{here}:{ports.api}/health", "body_contains": "ok"}
    smtp = {"kind": "smtp", "host": here, "port": ports.smtp}
    mail = {"kind": "queue", "queue": "queue:email-sending", "source": SOURCE}
    console = f"postgresql://monitor@{here}:{ports.database}/pgbouncer"
    database = {"kind": "postgres", "url": console, "pgbouncer": True}
    backup = {"kind": "heartbeat", "name": BACKUP, "interval_s": 60, "grace_s": 30}
    interval_s = max(1.0, OFTEN_S / pace)
    often: dict[str, Any] = {"interval_s": interval_s, "timeout_s": min(2.0, 0.9 * interval_s)}
    return [
        {"name": API, "depends_on": [DATABASE], "probes": [api], **often},
        {"name": SMTP, "probes": [smtp, mail], **often},
        {"name": DATABASE, "probes": [database], **often},
        {"name": "Nightly Backup", "probes": [backup]},
    ]
