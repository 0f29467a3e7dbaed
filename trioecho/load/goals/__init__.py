"""Objectives of a load, whether it met them, and the search for the highest rate that does."""
