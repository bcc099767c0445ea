"""The reputation room, put together: addresses, lists, the resolver, and what is kept of both."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from quarterdeck.config import Reputation, Settings
from quarterdeck.core.errors import ConfigError, InvalidRequest
from quarterdeck.facts import Facts
from quarterdeck.net.http import HttpClient
from quarterdeck.net.resolver import NameServer, Resolver, system_servers
from quarterdeck.reputation.checker import Checker
from quarterdeck.reputation.history import ScoreHistory
from quarterdeck.reputation.lists import Choice, load_lists
from quarterdeck.reputation.mail_book import MailBook
from quarterdeck.reputation.mail_intake import MailIntake
from quarterdeck.reputation.mail_ports import HookKeys
from quarterdeck.reputation.model import SendingAddress
from quarterdeck.reputation.names import parse_address
from quarterdeck.reputation.provider import ProviderFinder
from quarterdeck.reputation.service import ReputationParts, ReputationService
from quarterdeck.reputation.store import ReputationStore
from quarterdeck.state import Database


@dataclass(frozen=True, slots=True)
class ReputationRoom:
    """What the rest of the server needs of it."""

    service: ReputationService
    mail: MailBook
    intake: MailIntake
    http: HttpClient
    """What certificates of providers are fetched with."""


def compose_reputation(
    settings: Settings, facts: Facts, state: Database, key: bytes
) -> ReputationRoom:
    """Put the room together; nothing is asked yet. `key` keeps recipients from being told.

    Raises:
        ConfigError: naming the key and what was expected.
    """
    given, cluster = settings.reputation, settings.facts.cluster
    mail = MailBook(facts, key, given.retention_days, given.complaint_domains, cluster)
    parts = ReputationParts(
        store=ReputationStore(state),
        looker=compose_checker(given, settings.origin),
        finder=ProviderFinder(),
        history=ScoreHistory(facts, given.retention_days, cluster),
        mail=mail,
        interval=timedelta(seconds=given.interval_s),
        retention=timedelta(days=given.retention_days),
    )
    hooks = HookKeys(given.ses_topics, given.sendgrid_key, given.mailgun_key)
    http = HttpClient()
    intake = MailIntake(mail, hooks, http, given.retention_days)
    return ReputationRoom(ReputationService(_addresses(given), parts), mail, intake, http)


def compose_checker(given: Reputation, origin: str = "") -> Checker:
    """What asks lists, by these settings.

    Raises:
        ConfigError: naming the key and what was expected.
    """
    lists_file = None
    if given.lists_file:
        lists_file = Path(origin).parent / given.lists_file if origin else Path(given.lists_file)
    choice = Choice(lists_file, given.keys, given.enabled_lists, given.disabled_lists)
    where = "reputation.nameservers"
    servers = [NameServer.parse(each, where) for each in given.nameservers]
    return Checker(load_lists(choice), Resolver(servers or system_servers()))


def _addresses(given: Reputation) -> list[SendingAddress]:
    found = {}
    for number, each in enumerate(given.addresses):
        where = f"reputation.addresses[{number}].address"
        try:
            address = parse_address(each.address)
        except InvalidRequest as error:
            raise ConfigError(f"{where}: {error.details[0]['message']}.") from None
        if address in found:
            raise ConfigError(f"{where}: {address} is named twice.")
        found[address] = SendingAddress(
            address, each.provider or None, each.pool or None, each.helo or None
        )
    return list(found.values())
