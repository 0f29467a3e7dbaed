"""What became of the handshakes of a load under TLS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...base.histogram import Histogram
from ...base.json_part import Part

# What names of versions, ciphers and protocols come to at most, in a file that may be from anywhere.
_MOST_AGREEMENTS = 1000


class Agreement(NamedTuple):
    """What the two sides of a connection have agreed on.

    Attributes:
      version: of TLS, as ``TLSv1.3``.
      cipher: as OpenSSL names it.
      alpn: the protocol; None if none was agreed on.
    """

    version: str
    cipher: str
    alpn: str | None = None

    def __str__(self) -> str:
        return ", ".join((self.version, self.cipher, *((f"ALPN {self.alpn}",) if self.alpn else ())))


@dataclass
class TlsResult:
    """The handshakes that were successful; of all connections, also of those that were opened later.

    Attributes:
      handshake_ns: how long each took, from the connection's opening on.
      resumed: how many resumed the session of an earlier connection.
      agreements: what was agreed on, and how often.
    """

    handshake_ns: Histogram = field(default_factory=Histogram)
    resumed: int = 0
    agreements: Counter[Agreement] = field(default_factory=Counter)

    @property
    def resumed_in_words(self) -> str:
        """How many were resumed, as ``40 of 100 resumed (40 %)``."""
        count = self.handshake_ns.count
        share = f" ({100 * self.resumed / count:.3g} %)" if count else ""
        return f"{self.resumed:,} of {count:,} resumed{share}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it, without the histogram."""
        return {
            "handshakes": self.handshake_ns.count,
            "resumed": self.resumed,
            "agreements": [{**each._asdict(), "handshakes": n} for each, n in self.agreements.most_common()],
        }


def merge_tls(parts: Iterable[TlsResult]) -> TlsResult:
    """Add up the handshakes of several processes or machines."""
    merged = TlsResult()
    for part in parts:
        merged.handshake_ns.merge(part.handshake_ns)
        merged.resumed += part.resumed
        merged.agreements.update(part.agreements)
    return merged


def read_tls_result(part: Part, handshake_ns: Histogram) -> TlsResult:
    """Return what `TlsResult.to_dict` described.

    Raises:
      DamagedError: it is something else.
    """
    agreements: Counter[Agreement] = Counter()
    for item in part["agreements"]:
        agreements[item.record(Agreement)] += item["handshakes"].count()
    if len(agreements) > _MOST_AGREEMENTS:
        raise part["agreements"].wrong(f"there are more than {_MOST_AGREEMENTS}")
    result = TlsResult(handshake_ns, part["resumed"].count(), agreements)
    if not result.resumed <= handshake_ns.count == sum(agreements.values()):
        raise part.wrong("the numbers are not those of the handshakes that were measured")
    return result


def agreements_in_words(agreements: Mapping[Agreement, int]) -> str:
    """Return what was agreed on; with numbers, if that is not always the same."""
    if len(agreements) == 1:
        return str(next(iter(agreements)))
    ordered = sorted(agreements.items(), key=lambda item: (-item[1], str(item[0])))
    return "; ".join(f"{count:,} x {agreement}" for agreement, count in ordered)
