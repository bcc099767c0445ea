"""Settings: one TOML file, then the environment, decoded once into one frozen tree.

Precedence, last wins: defaults, the TOML file, `QUARTERDECK_<SECTION>_<KEY>` (and the short names
of `SHORT_NAMES`), flags of the command line. `QUARTERDECK_<SECTION>_<KEY>_FILE` names a file that
holds the value. Strings in the file may be `${env:NAME}` or `${file:PATH}`, so that a secret
never has to stand in it. This module is the only reader of `os.environ`.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from quarterdeck.core.errors import ConfigError

PREFIX = "QUARTERDECK_"
SHORT_NAMES = {
    "QUARTERDECK_DATA_DIR": "server.data_dir",
    "QUARTERDECK_HOST": "server.host",
    "QUARTERDECK_PORT": "server.port",
    "QUARTERDECK_RATE_LIMIT": "rate_limit.default",
}
CLIENT_NAMES = frozenset({"QUARTERDECK_URL", "QUARTERDECK_TOKEN", "QUARTERDECK_CONFIG"})
"""Read by the command line's clients; not settings of the server."""

FILE_ONLY = frozenset(
    {
        "queues.sources",
        "access.jwt.roles",
        "access.oidc.roles",
        "health.services",
        "alerts.rules",
        "alerts.channels",
        "reputation.addresses",
        "reputation.keys",
    }
)
"""Tables: no single variable could hold them."""

SECRET_KEYS = frozenset(
    {
        "secret",
        "client_secret",
        "url",
        "urls",
        "redis_url",
        "password",
        "token",
        "routing_key",
        "headers",
        "body",
        "management_url",
        "heartbeat_url",
        "keys",
        "mailgun_key",
    }
)
"""Keys whose values `config check` never prints."""

REDACTED = (
    "password", "passwd", "secret", "token", "authorization", "api_key", "apikey",
    "access_key", "private_key", "cookie", "credential", "credentials",
)  # fmt: skip

Algorithm = Literal["RS256", "ES256", "HS256"]
RoleName = Literal["ops", "viewer", "ingest", "admin"]
_RATE_EXAMPLE = "a rate such as 100/minute"
_RATE_PATTERN = r"^[1-9][0-9]*/([1-9][0-9]* ?)?(second|minute|hour|day)s?\Z"
Rate = Annotated[str, Meta(pattern=_RATE_PATTERN, description=_RATE_EXAMPLE)]


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`: where we listen, where we keep things, how we log."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    data_dir: str = "data"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-For is believed; none by default."""
    shutdown_grace_s: Annotated[int, Meta(ge=0, le=600)] = 20


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """`[state]`: the SQL database for what changes. Empty: SQLite in the data directory."""

    url: str = ""


class RateLimit(Struct, frozen=True, forbid_unknown_fields=True):
    """`[rate_limit]`: requests for each principal; the console has its own bucket."""

    default: Rate = "100/minute"
    console: Rate = "600/minute"
    ingest: Rate = "6000/minute"
    """Batches of lines and events from one principal."""
    bad_tokens: Rate = "20/minute"
    """Refused tokens from one address before it is answered 429."""
    redis_url: str = ""
    """Shared counters for several replicas; empty: counters in this process."""


PROVIDER_ROLES: dict[str, RoleName] = {
    "ops": "ops",
    "super_admin": "admin",
    "admin": "viewer",
    "support": "viewer",
}


class Jwt(Struct, frozen=True, forbid_unknown_fields=True):
    """`[access.jwt]`: tokens of the platform's own identity provider. Off without an issuer."""

    issuer: str = ""
    audience: str = ""
    algorithms: list[Algorithm] = field(default_factory=lambda: ["RS256", "ES256"])
    jwks_url: str = ""
    secret: str = ""
    """For HS256 only; at least 32 bytes."""
    role_claim: str = "role"
    """Dotted path of the claim that holds the role or a list of roles."""
    roles: dict[str, RoleName] = field(default_factory=lambda: dict(PROVIDER_ROLES))
    """The provider's role names and what they may do here."""
    leeway_s: Annotated[int, Meta(ge=0, le=300)] = 30
    jwks_max_age_s: Annotated[int, Meta(ge=10)] = 300


class Oidc(Struct, frozen=True, forbid_unknown_fields=True):
    """`[access.oidc]`: single sign-on to the console. Off without an issuer."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = ""
    public_url: str = ""
    """Where browsers find this server, such as `https://ops.example.org`."""
    name: str = "the identity provider"
    scopes: list[str] = field(default_factory=lambda: ["openid", "profile", "email"])
    role_claim: str = "role"
    roles: dict[str, RoleName] = field(default_factory=lambda: dict(PROVIDER_ROLES))


class Access(Struct, frozen=True, forbid_unknown_fields=True):
    """`[access]`: how tokens are stored and which foreign ones are believed."""

    secret: str = ""
    """Key of the HMAC over stored tokens. Empty: made once, kept in the data directory."""
    jwt: Jwt = field(default_factory=Jwt)
    oidc: Oidc = field(default_factory=Oidc)


class Queues(Struct, frozen=True, forbid_unknown_fields=True):
    """`[queues]`: the engines we attach to, and what of their payloads is hidden."""

    sources: list[dict[str, Any]] = []
    """Each has a `name` and a `kind`; the other keys belong to the adapter of that kind."""
    redact_keys: list[str] = field(default_factory=lambda: list(REDACTED))
    history_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    """How long samples of queues are kept."""


class Work(Struct, frozen=True, forbid_unknown_fields=True):
    """`[work]`: our own durable background jobs."""

    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4
    lease_s: Annotated[int, Meta(ge=3)] = 30
    keep_finished_days: Annotated[int, Meta(ge=1)] = 7


class Facts(Struct, frozen=True, forbid_unknown_fields=True):
    """`[facts]`: ClickHouse for what never changes. Empty URL: in this process, through chdb."""

    url: str = ""
    cluster: str = ""
    """Name of the server's cluster: tables become replicated on all of it."""
    memory_mb: Annotated[int, Meta(ge=512)] = 1024
    """What the whole server may take with the embedded engine in it."""
    searches: Annotated[int, Meta(ge=0, le=64)] = 0
    """Queries side by side; 0: twice the cores, four at least."""
    query_timeout_s: Annotated[int, Meta(ge=1, le=3600)] = 30


class Logs(Struct, frozen=True, forbid_unknown_fields=True):
    """`[logs]`: how long lines are kept, what takes them in, what waits."""

    retention_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    retention_bytes: Annotated[int, Meta(ge=0)] = 0
    """Oldest days go when the lines take more room on disk; 0: no such limit."""
    waiting_mb: Annotated[int, Meta(ge=1, le=1024)] = 64
    """Lines received and not yet durable; above it senders are answered 429."""
    syslog_udp: str = ""
    """`host:port` to listen on; empty: not."""
    syslog_tcp: str = ""
    syslog_tls: str = ""
    syslog_tls_cert: str = ""
    """PEM file of the certificate and its chain."""
    syslog_tls_key: str = ""
    export_hours: Annotated[int, Meta(ge=1, le=720)] = 24
    """How long a finished export is kept."""


class Health(Struct, frozen=True, forbid_unknown_fields=True):
    """`[health]`: the services that are watched, and how."""

    services: list[dict[str, Any]] = []
    """Each has a `name` and probes; see docs/health.md."""
    connectivity: list[str] = []
    """`host:port` that answer as long as this monitor has a network; asked when much fails."""
    retention_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    """How long the history of services is kept."""
    deny: list[str] = []
    """Networks that no probe may connect to, besides link-local and metadata addresses."""
    watch_self: bool = True
    """Show this server's own response times as a service."""


class Alerts(Struct, frozen=True, forbid_unknown_fields=True):
    """`[alerts]`: when somebody is told, and how."""

    rules: list[dict[str, Any]] = []
    """Own rules, and changes of ours by `name`; see docs/alerts.md."""
    channels: list[dict[str, Any]] = []
    """Each has a `name` and a `kind`; the other keys belong to that kind."""
    interval_s: Annotated[int, Meta(ge=1, le=3600)] = 15
    """Between two looks at all rules."""
    escalate_after_s: Annotated[int, Meta(ge=1, le=604_800)] = 600
    """Without acknowledgement, channels of the next step are told after this."""
    console_url: str = ""
    """Public address of this server, for links in notices."""
    heartbeat_url: str = ""
    """Posted to every minute while the rules are being evaluated; often a secret address."""
    retention_days: Annotated[int, Meta(ge=8, le=3650)] = 90
    """How long resolved alerts are kept."""


class OurAddress(Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[reputation.addresses]]` entry."""

    address: str
    provider: str = ""
    """Empty: it is detected."""
    pool: str = ""
    """The provider's or relay's name for the addresses that it belongs to."""
    helo: str = ""
    """The name that it greets with."""


class Reputation(Struct, frozen=True, forbid_unknown_fields=True):
    """`[reputation]`: the addresses that mail is sent from, and who is asked about them."""

    addresses: list[OurAddress] = []
    interval_s: Annotated[int, Meta(ge=60, le=604_800)] = 7200
    """Between two rounds of look-ups."""
    nameservers: list[str] = []
    """DNS servers that are asked; empty: those of the system. Best a resolver of your own."""
    keys: dict[str, str] = {}
    """List to the key of a subscription, such as Spamhaus DQS."""
    lists_file: str = ""
    """Own lists, and changes of ours by `id`; see docs/ip-reputation.md."""
    enabled_lists: list[str] = []
    disabled_lists: list[str] = []
    retention_days: Annotated[int, Meta(ge=31, le=3650)] = 90
    """How long mail events, scores and past listings are kept."""
    complaint_domains: list[str] = []
    """Domains with a feedback loop, besides those that a complaint was ever heard from."""
    ses_topics: list[str] = []
    """ARNs of the SNS topics that may post events of Amazon SES."""
    sendgrid_key: str = ""
    """Verification key of SendGrid's Signed Event Webhook."""
    mailgun_key: str = ""
    """Mailgun's HTTP webhook signing key."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole tree."""

    server: Server = field(default_factory=Server)
    state: State = field(default_factory=State)
    rate_limit: RateLimit = field(default_factory=RateLimit)
    access: Access = field(default_factory=Access)
    queues: Queues = field(default_factory=Queues)
    work: Work = field(default_factory=Work)
    facts: Facts = field(default_factory=Facts)
    logs: Logs = field(default_factory=Logs)
    health: Health = field(default_factory=Health)
    alerts: Alerts = field(default_factory=Alerts)
    reputation: Reputation = field(default_factory=Reputation)
    origin: str = ""
    """The file that was loaded, for messages that come later; not a setting."""


def load(path: Path | None = None, flags: Mapping[str, object] | None = None) -> Settings:
    """Read everything once. `flags` maps dotted keys to values of the command line.

    Raises:
        ConfigError: naming the key, the file's line or the variable, and what was expected.
    """
    text = _read(path) if path else ""
    tree = _parse(text, path)
    origins = _overlay_environment(tree, os.environ)
    for key, value in (flags or {}).items():
        if value is not None:
            _put(tree, key, value)
            origins[key] = f"--{key.rsplit('.', 1)[-1].replace('_', '-')}"
    try:
        if "origin" in tree:
            raise ConfigError(f"origin ({_place(path, text, 'origin')}): there is no such setting.")
        resolved = _resolve(tree, path, "", text) | {"origin": str(path or "")}
        return msgspec.convert(resolved, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), path, text, origins)) from None
    except RecursionError:
        raise ConfigError(f"{path}: the tables are nested too deeply.") from None


def decode_options(
    source: Mapping[str, Any], options: type[Any], where: str, path: Path | None = None
) -> Any:
    """Decode the adapter's own keys of one `[[queues.sources]]` entry into its options struct.

    `where` is the entry's key (`queues.sources[1]`), `path` the file that was loaded, if any.

    Raises:
        ConfigError: naming the key below `where`, the file's line and what was expected.
    """
    try:
        return msgspec.convert(source, options, strict=False)
    except msgspec.ValidationError as error:
        message, key = _split(str(error))
        full = f"{where}.{key}" if key else where
        place = f" ({_place(path, _read(path), full)})" if path else ""
        raise ConfigError(f"{full}{place}: {message}.") from None


def masked(settings: Settings) -> dict[str, Any]:
    """The tree as plain data, with every secret replaced by `***`."""
    tree: dict[str, Any] = _mask(msgspec.to_builtins(settings))
    return tree


def client_environment() -> tuple[str, str]:
    """`QUARTERDECK_URL` (default `http://127.0.0.1:8080`) and `QUARTERDECK_TOKEN` (or empty)."""
    url = os.environ.get("QUARTERDECK_URL", "http://127.0.0.1:8080")
    return url.rstrip("/"), os.environ.get("QUARTERDECK_TOKEN", "")


def config_path_from_environment() -> Path | None:
    """`QUARTERDECK_CONFIG`, the settings file when no `--config` is given."""
    value = os.environ.get("QUARTERDECK_CONFIG")
    return Path(value) if value else None


def _mask(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _mask(v, key if key in SECRET_KEYS else k) for k, v in value.items()}
    if isinstance(value, list):
        return [_mask(item, key) for item in value]
    return "***" if value != "" and key.lower() in SECRET_KEYS else value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot read the settings file {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The settings file {path} is not UTF-8 text.") from None


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Besides its own error: an integer of 5,000 digits, a thousand brackets.
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None


def _overlay_environment(tree: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Put the variables into the tree; give back which variable set which key."""
    origins: dict[str, str] = {}
    for name in sorted(n for n in environ if n.startswith(PREFIX) and n not in CLIENT_NAMES):
        value, key = environ[name], _key_of(name)
        in_file = key is None and name.endswith("_FILE")
        if in_file:
            key = _key_of(name.removesuffix("_FILE"))
        if key is None:
            raise ConfigError(
                f"The environment variable {name} is no setting. "
                f"Names are {PREFIX}<SECTION>_<KEY>; see docs/settings.md."
            )
        if in_file:
            value = _file_value(value, f"The variable {name}")
        _put(tree, key, _listed(key, value))
        origins[key] = name
    return origins


def _listed(key: str, value: str) -> Any:
    """A variable for an array holds its items separated by commas."""
    section, _, name = key.partition(".")
    kind: Any = _SECTIONS[section]
    for part in name.split("."):
        kind = get_type_hints(kind)[part]
    if getattr(kind, "__origin__", None) in {list, tuple}:
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


_SECTIONS: dict[str, type[Struct]] = {
    name: kind for name, kind in get_type_hints(Settings).items() if issubclass(kind, Struct)
}


def _all_keys() -> dict[str, str]:
    names: dict[str, str] = dict(SHORT_NAMES)
    for section, kind in _SECTIONS.items():
        for key, hint in get_type_hints(kind).items():
            if isinstance(hint, type) and issubclass(hint, Struct):
                for inner in get_type_hints(hint):
                    dotted = f"{section}.{key}.{inner}"
                    names[PREFIX + dotted.replace(".", "_").upper()] = dotted
            else:
                names[f"{PREFIX}{section}_{key}".upper()] = f"{section}.{key}"
    return {name: key for name, key in names.items() if key not in FILE_ONLY}


def setting_names() -> dict[str, str]:
    """Every environment variable that is understood, and the dotted key that it sets."""
    return dict(sorted(_all_keys().items()))


def _key_of(variable: str) -> str | None:
    return _all_keys().get(variable)


def _put(tree: dict[str, Any], dotted: str, value: object) -> None:
    *sections, key = dotted.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{section}: expected a table, [{section}], not a value.")
        tree = below
    tree[key] = value


_REFERENCE = re.compile(r"^\$\{(env|file):([^}]+)\}$")


def _resolve(value: Any, path: Path | None, key: str, text: str) -> Any:
    if isinstance(value, dict):
        return {k: _resolve(v, path, f"{key}.{k}" if key else k, text) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(v, path, f"{key}[{i}]", text) for i, v in enumerate(value)]
    match = _REFERENCE.match(value) if isinstance(value, str) else None
    if match is None:
        return value
    kind, name = match.groups()
    if kind == "file":
        return _file_value(name, f"{key} ({_place(path, text, key)})")
    if name not in os.environ:
        raise ConfigError(f"{key} ({_place(path, text, key)}): the variable {name} is not set.")
    return os.environ[name]


def _file_value(name: str, what: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{what} names the file {name}, which cannot be read: {error}.") from None


_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")


def _split(message: str) -> tuple[str, str]:
    """msgspec's message as (what was expected, dotted key)."""
    text, _, tail = message.partition(" - at `$")
    key = tail.removesuffix("`").lstrip(".")
    unknown = _UNKNOWN.search(text)
    if unknown:
        name = unknown.group(1)
        return "there is no such setting", f"{key}.{name}" if key else name
    if repr(_RATE_PATTERN) in text:
        return f"expected {_RATE_EXAMPLE}", key
    return text[0].lower() + text[1:], key


def _explain(raw: str, path: Path | None, text: str, origins: Mapping[str, str]) -> str:
    message, key = _split(raw)
    place = origins.get(key.partition("[")[0]) or _place(path, text, key)
    return f"{key or 'settings'} ({place}): {message}."


def _place(path: Path | None, text: str, key: str) -> str:
    line = _line_of(text, key)
    return f"{path} line {line}" if line else str(path or "environment")


def _line_of(text: str, dotted: str) -> int | None:
    """The line that sets `dotted` (`queues.sources[1].kind`), or its table's; None when not found.

    tomllib keeps no positions; headers and `key =` lines are enough for every ordinary file.
    """
    table, seen, best = "", dict[str, int](), None
    plain = re.sub(r"\[([\d.]+)\]", r".\1", dotted)  # msgspec calls a dict's value [...]
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line)
        if header:
            table = header.group(2).replace('"', "")
            if header.group(1) == "[[":
                seen[table] = seen.get(table, -1) + 1
                table = f"{table}.{seen[table]}"
            if plain == table or plain.startswith(f"{table}."):
                best = number
            continue
        assigned = re.match(r"\s*([A-Za-z0-9_.\-\"]+)\s*=", line)
        if assigned:
            name = f"{table}.{assigned.group(1)}".lstrip(".").replace('"', "")
            if plain == name or plain.startswith(f"{name}."):
                return number
    return best
