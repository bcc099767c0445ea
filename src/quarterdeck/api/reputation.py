"""Routes of the sending addresses' reputation."""

from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request, Router, delete, get, post
from litestar.params import Parameter

from quarterdeck.access.model import Right
from quarterdeck.api.context import author_of
from quarterdeck.api.envelope import Envelope, ok
from quarterdeck.api.guards import require_json
from quarterdeck.api.reputation_schemas import (
    AddressRemoval,
    IpHistoryData,
    IpItem,
    IpList,
    NewAddress,
    history_item,
    ip_item,
)
from quarterdeck.core.clock import utc_now
from quarterdeck.reputation.model import Address, SendingAddress
from quarterdeck.reputation.names import parse_address
from quarterdeck.reputation.service import ReputationService

Ip = Annotated[str, Parameter(description="The address, percent-encoded as one path segment.")]
Days = Annotated[int, Parameter(ge=1, le=90, description="How far back.")]
ADMINISTER = {"right": Right.ADMINISTER}


@get(
    "/infrastructure/ip-reputation",
    opt={"etag": True},
    operation_id="GetIpReputation",
    summary="IP reputation",
)
async def get_reputation(reputation: ReputationService) -> Envelope[IpList]:
    """All sending addresses from the last round of look-ups; nobody is asked for this answer."""
    found = await reputation.list_addresses()
    return ok(IpList([ip_item(each, reputation) for each in found]))


@post(
    "/infrastructure/ip-reputation",
    status_code=200,
    guards=[require_json],
    opt={"body": True, "action": "ip.add", **ADMINISTER},
    operation_id="AddSendingAddress",
    summary="Watch an address",
)
async def add_address(
    request: Request[Any, Any, Any], reputation: ReputationService, data: NewAddress
) -> Envelope[IpItem]:
    """Watch an address that mail is sent from. Its first check is queued with it."""
    address = SendingAddress(
        parse_address(data.ip_address), data.provider or None, data.pool or None,
        data.helo or None, "api",
    )  # fmt: skip
    return ok(ip_item(await reputation.add(address, author_of(request.scope)), reputation))


@delete(
    "/infrastructure/ip-reputation/{ip:str}",
    status_code=200,
    opt={"action": "ip.remove", **ADMINISTER},
    operation_id="RemoveSendingAddress",
    summary="Watch an address no more",
)
async def remove_address(reputation: ReputationService, ip: Ip) -> Envelope[AddressRemoval]:
    """Forget an address; its history stays until its time is over."""
    address = _address(ip)
    await reputation.remove(address)
    return ok(AddressRemoval(str(address), "removed"))


@post(
    "/infrastructure/ip-reputation/{ip:str}/check",
    status_code=200,
    opt={"action": "ip.check"},
    operation_id="CheckSendingAddress",
    summary="Check an address now",
)
async def check_address(reputation: ReputationService, ip: Ip) -> Envelope[IpItem]:
    """Ask all lists now; answered with what is found. It takes some seconds at most."""
    return ok(ip_item(await reputation.check(_address(ip)), reputation))


@get(
    "/infrastructure/ip-reputation/{ip:str}/history",
    operation_id="GetIpHistory",
    summary="History of an address",
)
async def get_history(
    reputation: ReputationService, ip: Ip, days: Days = 30
) -> Envelope[IpHistoryData]:
    """Scores after each round and times on lists, for plots."""
    return ok(history_item(await reputation.history(_address(ip), days, utc_now())))


def router() -> Router:
    """All routes of this room but those of mail events."""
    return Router(
        path="/",
        tags=["Infrastructure"],
        route_handlers=[get_reputation, add_address, remove_address, check_address, get_history],
    )


def _address(segment: str) -> Address:
    return parse_address(unquote(segment), "ip", "path")
