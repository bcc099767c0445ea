"""What shippers ask before they send anything to Elasticsearch.

Filebeat asks for version and licence and sets up templates and policies. Logstash does too, and
looks for nodes. Vector asks for the version and the cluster's health. Fluent Bit asks nothing.
"""

from collections.abc import Mapping

from quarterdeck.logs.objects import encode
from quarterdeck.logs.ports import Answer

PRODUCT_HEADER = ("X-Elastic-Product", "Elasticsearch")
"""Clients look for it on every answer, and refuse to go on without it."""

JSON = "application/json"

VERSION = "8.19.0"
"""What we say we are; some clients want it not to be older than they are."""

INFO: Mapping[str, object] = {
    "name": "quarterdeck",
    "cluster_name": "quarterdeck",
    "cluster_uuid": "quarterdeck",
    "version": {
        "number": VERSION,
        "build_flavor": "default",
        "build_type": "tar",
        "build_hash": "0" * 40,
        "build_date": "2025-07-24T00:00:00.000000000Z",
        "build_snapshot": False,
        "lucene_version": "9.12.2",
        "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    },
    "tagline": "You Know, for Search",
}

LICENSE: Mapping[str, object] = {
    "license": {
        "status": "active",
        "uid": "00000000-0000-0000-0000-000000000000",
        "type": "basic",
        "issue_date_in_millis": 0,
        "max_nodes": 1000,
        "issued_to": "quarterdeck",
        "start_date_in_millis": -1,
    }
}

ASKED: Mapping[str, Mapping[str, object]] = {
    "": INFO,
    "_license": LICENSE,
    "_xpack": {**LICENSE, "features": {}},
    "_xpack/license": LICENSE,
    "_cluster/health": {"cluster_name": "quarterdeck", "status": "green", "timed_out": False},
    "_nodes/http": {"cluster_name": "quarterdeck", "nodes": {}},
}

SET_UP = {
    "_ilm", "_index_template", "_component_template", "_template", "_ingest", "_data_stream",
}  # fmt: skip
"""There is nothing to set up: it is there when somebody looks, and done when somebody does it."""


def handshake(method: str, path: str) -> Answer | None:
    """The answer to such a question; None: it is none.

    `path` is what stands behind the address that the shipper was given. Every answer wants
    `PRODUCT_HEADER` beside it.
    """
    bare = path.strip("/")
    if method == "HEAD":
        return Answer(200, JSON)
    if method == "GET" and bare in ASKED:
        return Answer(200, JSON, encode(ASKED[bare]))
    if bare.partition("/")[0] in SET_UP and method in ("GET", "PUT", "POST"):
        return Answer(200, JSON, encode({} if method == "GET" else {"acknowledged": True}))
    return None
