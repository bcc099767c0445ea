"""What makes two findings the same alert."""

import hashlib
import json
from collections.abc import Mapping


def fingerprint(rule: str, source: str, subject: str, labels: Mapping[str, str]) -> str:
    """SHA-256, in hex, over a rule (or its group) and what it is about; never over values."""
    identity = [rule, source, subject, sorted(labels.items())]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
