"""Sample files for production, shipped with the package; ``trioecho deploy`` prints them."""

from __future__ import annotations

from importlib import resources

#: What each is for, by its name.
DEPLOY_FILES = {
    "Containerfile": "a container image that serves, for podman and docker",
    "trioecho.service": "a hardened systemd service",
    "trioecho.socket": "its socket: a restart refuses no connection",
    "haproxy.cfg": "HAProxy in front of three servers",
    "nginx.conf": "nginx in front of three servers",
    "prometheus.yml": "Prometheus, which scrapes --admin",
    "alerts.yml": "its rules: what to wake somebody for",
    "grafana-dashboard.json": "a dashboard of Grafana over Prometheus",
    "kubernetes.yaml": "a Deployment with probes, a Service, a disruption budget",
}


def read_deploy_file(name: str) -> str:
    """Return the text of one of `DEPLOY_FILES`."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")
