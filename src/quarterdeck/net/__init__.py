"""Going out: one HTTP client, deadlines. Nothing else opens connections to foreign hosts."""
