"""Opscenter: the operation center for production workflows."""

VERSION = "0.1.0"
"""The same as in pyproject.toml."""
