"""Pure decisions about queues and jobs: status, public ids, redaction, error fingerprints."""

import base64
import binascii
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from quarterdeck.core.errors import NotFound
from quarterdeck.core.text import is_storable
from quarterdeck.queues.model import Failure, JobRef, QueueStats, QueueStatus

MASK = "***"

CRITICAL_WAITING = 1000
CRITICAL_FAILED = 10
WARNING_WAITING = 100


def status_of(stats: QueueStats) -> QueueStatus:
    """The spec's rule: critical above 1000 waiting or 10 failed, warning from 100 waiting on.

    (The spec's sample shows 2500 waiting as `warning`; its rule says critical, and the rule holds.)
    Unknown counts are never healthy.
    """
    if (stats.failed or 0) > CRITICAL_FAILED or (stats.waiting or 0) > CRITICAL_WAITING:
        return QueueStatus.CRITICAL
    if stats.waiting is None or stats.failed is None:
        return QueueStatus.UNKNOWN
    return QueueStatus.WARNING if stats.waiting >= WARNING_WAITING else QueueStatus.HEALTHY


def encode_job_id(ref: JobRef) -> str:
    """A URL-safe id that leads back to (source, queue, native id) without a look-up."""
    parts = json.dumps([ref.source, ref.id, ref.queue], ensure_ascii=False, separators=(",", ":"))
    return "job_" + base64.urlsafe_b64encode(parts.encode()).decode().rstrip("=")


def decode_job_id(job_id: str) -> JobRef:
    """The inverse of `encode_job_id`.

    Raises:
        NotFound: this was never an id of ours.
    """
    unknown = NotFound(
        "There is no such job. Job ids start with 'job_' and come from GET /queues/{name}/jobs."
    )
    prefix, _, encoded = job_id.partition("_")
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        parts = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        raise unknown from None
    if prefix != "job" or not isinstance(parts, list) or len(parts) != 3:
        raise unknown
    if not all(isinstance(part, str) and is_storable(part) for part in parts):
        raise unknown
    source, native, queue = parts
    ref = JobRef(source=source, id=native, queue=queue)
    if encode_job_id(ref) != job_id:
        raise unknown
    return ref


class Redactor:
    """Masks the values of configured keys, at any depth, in any spelling (`apiKey`, `API-KEY`).

    A key is secret when its last words are: `smtp_password` and `X-Api-Key` are. Texts are
    searched for `key=value`, `"key": "value"` and `scheme://user:password@` as well.
    """

    def __init__(self, keys: Collection[str]) -> None:
        self._keys = frozenset(map(_plain, keys))
        words = "|".join(r"[\W_]?".join(re.escape(char) for char in key) for key in self._keys)
        self._assignment = re.compile(
            rf"""((?:{words})\\*["']?\s*[:=]\s*)((?:bearer|basic)\s+)?(\\*["']?)[^\s"',;&}}\\]+""",
            re.I,
        )

    def __call__(self, payload: Any) -> Any:
        """A copy of `payload` in which the value of each secret key is `***`."""
        if isinstance(payload, Mapping):
            return {
                key: MASK if self._is_secret(str(key)) and value is not None else self(value)
                for key, value in payload.items()
            }
        if isinstance(payload, list | tuple):
            return [self(item) for item in payload]
        return self.text(payload) if isinstance(payload, str) else payload

    def text(self, text: str) -> str:
        """`text` without the secrets that it spells out."""
        text = _URL_PASSWORD.sub(rf"\1{MASK}@", text)
        return self._assignment.sub(rf"\1\2\3{MASK}", text) if self._keys else text

    def _is_secret(self, key: str) -> bool:
        plain = _plain(key)
        return any(plain.endswith(secret) for secret in self._keys)


_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+@", re.I)


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


@dataclass(frozen=True, slots=True)
class TextFilter:
    """`q=`: case-insensitive text in the payload as it is shown, or in the error message."""

    needle: str
    redact: Redactor

    def accepts(self, payload: Any, error_message: str | None) -> bool:
        """See `ports.JobFilter`."""
        needle = self.needle.casefold()
        if error_message and needle in self.redact.text(error_message).casefold():
            return True
        shown = json.dumps(self.redact(payload), ensure_ascii=False, default=str)
        return needle in shown.casefold()


_MASKS: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.I), "<id>"),
    (re.compile(r"[^\s<>\"'()\[\],;:]+@[^\s<>\"'()\[\],;]+"), "<address>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<ip>"),
    (re.compile(r"(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}\b", re.I), "<ip>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.I), "<id>"),
    (re.compile(r"\b(?=[a-z_-]*\d)[a-z]{2,8}_[0-9a-z]{3,}\b", re.I), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.I), "<id>"),
    # SMTP replies (RFC 5321) and enhanced codes (RFC 3463) say what kind of failure it was: 421 is
    # not 550. At the start of a line, before an enhanced code, or as smtplib shows them: (550, b'.
    (
        re.compile(
            r"((?<![\d.])[245]\d\d[ -](?=[245]\.\d)|^[245]\d\d(?=[ -])"
            r"|(?<=\()[245]\d\d(?=, b?['\"])"
            r"|(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]))"
            r"|\d+(?:[.,]\d+)*"
        ),
        "<n>",
    ),
]


def fingerprint(message: str) -> str:
    """The message with its numbers, ids and addresses masked: alike failures read alike.

    Only the first line counts, at most 300 characters: what follows is mostly a trace.
    """
    text = " ".join(message.strip().split("\n", 1)[0][:2000].split())
    for pattern, mask in _MASKS:
        text = pattern.sub(partial(_keep_or, mask), text)
    return text[:300] or "(no message)"


def _keep_or(mask: str, match: re.Match[str]) -> str:
    """What a pattern captured stays; anything else that it matched is masked."""
    return (match.group(1) if match.re.groups else None) or mask


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed jobs that failed alike."""

    fingerprint: str
    count: int
    sample: JobRef
    sample_message: str
    first_at: datetime | None
    last_at: datetime | None


def group_failures(failures: Iterable[Failure]) -> list[FailureGroup]:
    """Failures grouped by fingerprint, the largest group first; the sample is the newest."""
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(fingerprint(failure.message), []).append(failure)
    found = [_group(mark, members) for mark, members in groups.items()]
    return sorted(found, key=lambda group: (-group.count, group.fingerprint))


def _group(mark: str, members: Sequence[Failure]) -> FailureGroup:
    times = sorted(member.failed_at for member in members if member.failed_at)
    return FailureGroup(
        fingerprint=mark,
        count=len(members),
        sample=members[0].ref,
        sample_message=members[0].message,
        first_at=times[0] if times else None,
        last_at=times[-1] if times else None,
    )
