"""Carry out a plan in this process, or in several that start in step."""
