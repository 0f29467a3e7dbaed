"""Apache Kafka (its protocol guide): a request that may come before any other."""

from __future__ import annotations

from .polite_requests import PoliteRequests, behind_length, number

_API_VERSIONS, _VERSION = 18, 0
_NO_CLIENT_ID = b"\xff\xff"


def _api_versions(client_id: bytes) -> bytes:
    return behind_length(number(_API_VERSIONS, 2) + number(_VERSION, 2) + number(1, 4) + client_id, 4)


KAFKA = PoliteRequests(
    "ApiVersions, version 0",
    (_api_versions(_NO_CLIENT_ID), _api_versions(behind_length(b"trioecho check", 2))),
    correlate="4:4=0:4",
)
