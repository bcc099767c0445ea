"""What an error of Redis means to the operator, and what to do about it."""

import re

from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterCrossSlotError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
)

_PLACE = re.compile(r",? (?:script: \w+, )?on @user_script:\s?(\d+)\.?")
_CALL = re.compile(r"redis\.p?call\(([^,]*),")
_NAMED = re.compile(r"^user_script:\s?\d+: ([A-Z]+) is refused: (?:ERR )?")
_IN_SCRIPT = "user executing the script"
_ANSWERS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        ReadOnlyError,
        "is a replica and changes nothing: {reason}. Let `url` lead to the primary; after a "
        "failover that is another server.",
    ),
    (OutOfMemoryError, "is full: {reason}. Delete jobs, or raise its `maxmemory`."),
    (
        (MovedError, AskError, ClusterCrossSlotError),
        "is a node of a cluster. Set `cluster = true` for this source.",
    ),
    (ResponseError, "cannot do that: {reason}."),
)
_SILENCE = "does not answer: {reason}."


def sentence(source: str, prefix: str, error: Exception, script: str = "") -> str:
    """One sentence or two; `script` is the text of what ran, where something did."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    place = _PLACE.search(reason)
    reason = _PLACE.sub("", reason).strip(" .")
    server = f"The Redis server of the source '{source}'"
    if isinstance(error, AuthenticationError) or "WRONGPASS" in reason or "NOAUTH" in reason:
        return f"{server} refuses the user name or password in its `url`: {reason}."
    if isinstance(error, NoPermissionError) or _IN_SCRIPT in reason:
        command = _refused(reason, script, int(place.group(1)) if place else 0)
        return (
            f"{server} does not let this user {command}: {_NAMED.sub('', reason)}. Grant it "
            f"`~{prefix}:* +@read +@write +@connection +evalsha +eval`."
        )
    if isinstance(error, RedisClusterException) and "not enabled" in reason.lower():
        return f"{server} is no cluster. Remove `cluster = true` from its settings."
    known = (what for kinds, what in _ANSWERS if isinstance(error, kinds))
    return f"{server} {next(known, _SILENCE).format(reason=reason)}"


def _refused(reason: str, script: str, line: int) -> str:
    """What may not be done. Redis names a command, but only the line of one within a script."""
    if found := _NAMED.search(reason):
        return f"call {found.group(1)}"
    lines = script.splitlines()
    call = _CALL.search(lines[line - 1]) if 0 < line <= len(lines) else None
    commands = re.findall(r"'([A-Z]+)'", call.group(1)) if call else []
    return f"call {' or '.join(commands)}" if commands else "do that"
