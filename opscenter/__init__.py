"""Opscenter: the operation center for production workflows."""
