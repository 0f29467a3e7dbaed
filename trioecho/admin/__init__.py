"""What commands serve over HTTP with ``--admin``: metrics, probes, the last report.

It tells, and commands nothing: there is only GET. `AdminApplication` is an ASGI application with
a page for each path; `serve_http` serves it, by the HTTP/1.1 of `hypercorn`, and bounds what
strangers can ask of the process; `OwnHosts` refuses what is for another host; `ServiceState` is
what the pages know of a service; and `service_metrics` has that in the names of Prometheus.

The packages that this needs are those of the extra ``admin``, and imported only with ``--admin``.
"""
