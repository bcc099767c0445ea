"""Quarterdeck: an operations API and console for platforms that send e-mail."""

__version__ = "0.1.0"
