"""Durable background jobs in the platform's documented tables, on SQLite or PostgreSQL.

`store.py` holds the verbs (enqueue, claim, heartbeat, complete, fail, pause...), `worker.py` runs
handlers. Our own exports, checks and bulk operations run here; so does any platform that likes to.
"""
