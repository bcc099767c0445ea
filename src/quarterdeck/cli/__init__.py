"""The command line: serve, demo, migrate through `app`; everything else is an HTTP client."""
