"""Alerts: rules, life cycle, silences, channels."""
