"""Processes on the workers of a Dask cluster, and messages from and to them."""
