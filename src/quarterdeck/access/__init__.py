"""Who may do what, and who did: tokens, JWT, roles, the audit trail, idempotency keys."""
