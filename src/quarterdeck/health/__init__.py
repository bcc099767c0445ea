"""Service health: probes, percentiles, status."""
