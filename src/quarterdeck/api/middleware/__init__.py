"""What happens around a known route: body, idempotency, audit, caching; in this order."""
