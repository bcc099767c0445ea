"""The console: pages that speak to the HTTP API like any other client."""
