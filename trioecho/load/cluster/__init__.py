"""A load on the machines of a Dask cluster."""
