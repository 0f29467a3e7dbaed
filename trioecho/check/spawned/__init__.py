"""Servers that the suite starts and ends itself."""
