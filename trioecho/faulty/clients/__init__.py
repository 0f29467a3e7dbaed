"""The faulty clients: echo clients with one bug each.

They prove that ``trioecho check --client`` sees what it should see. Each differs from
`EchoClient`, or from `PipeliningClient`, in one place.
"""

from __future__ import annotations

from . import comparing, conduct, ending, lengths, reading
from .honest import EchoClient, FaultyClient, Outcome, PipeliningClient

__all__ = ["FAULTY_CLIENTS", "EchoClient", "FaultyClient", "Outcome", "PipeliningClient"]

# By name; those of a module in the order in which they stand there.
FAULTY_CLIENTS: dict[str, type[FaultyClient]] = {
    client.bug.name: client
    for module in (reading, comparing, ending, lengths, conduct)
    for client in vars(module).values()
    if isinstance(client, type) and issubclass(client, FaultyClient) and client is not FaultyClient
}
