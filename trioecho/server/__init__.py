"""The server of ``trioecho serve``: accepting, serving, draining, metrics, reports, workers."""
