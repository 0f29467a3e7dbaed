"""The documentation: pages of Markdown that are shipped with the package.

They read well where repositories are browsed, in a terminal (``trioecho guide``), and
in the site that ``scripts/docs`` builds.
"""

from __future__ import annotations

from importlib import resources

# In the order in which one may read them; what each is about, in a line.
TOPICS: dict[str, str] = {
    "framing": "why a length in front of each message survives every cut of TCP",
    "metrics": "what the reports say, and an analysis of the homework's load",
    "course": "three defects of a usual solution; how to grade a class",
    "commands": "what all commands have in common: sizes, output, signals, exit codes",
    "serve": "the service: options, limits, workers, exit codes; and its client",
    "balancers": "several servers behind HAProxy or nginx, which says who the client is",
    "operate": "metrics for Prometheus, probes, and a drain behind a balancer",
    "run": "from a bare machine to a watched service: systemd, containers, monitoring, upgrades",
    "your-protocol": "from an unknown service to its format, messages, rules and load, in ten minutes",
    "send": "how to talk to any framed service from the command line",
    "load": "how to measure a server, read the percentiles, and when not to believe them",
    "cluster": "load from many machines: Dask clusters, clocks, what happens when a machine fails",
    "locust": "for people who have Locust: requests by frame, and whole loads on its workers",
    "check": "how to find what is wrong with a server, in any language",
    "faulty": "servers with one bug each, and servers that are right",
    "proxy": "how to test a client: a proxy that makes trouble",
    "formats": "the frames of other protocols, and the language that describes them",
    "services": "real services under the rules: what DNS, Thrift, Modbus and other servers pass",
    "library": "how to build framed services of your own",
    "speed": "how fast it is beside others, and how that was measured",
    "design": "how it works, and why so",
    "changes": "what is new, and what a version number promises",
}


def read_topic(name: str) -> str:
    """Return the page of one of `TOPICS`, as Markdown.

    Raises:
      KeyError: there is no such topic.
    """
    if name not in TOPICS:
        raise KeyError(name)
    return resources.files(__name__).joinpath(f"{name}.md").read_text("utf-8")
