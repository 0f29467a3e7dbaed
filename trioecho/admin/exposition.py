"""The page ``/metrics``: a registry in the format that the scraper asks for."""

from __future__ import annotations

from collections.abc import Callable

import trio
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder

from .application import Page, PageReply, PageRequest
from .pace import SharedPace

# It takes longer to make than any other page, and nobody needs it more often.
_PER_SECOND, _BURST, _FASTEST = 2, 10, 20


def metrics_page(registry: CollectorRegistry) -> Page:
    """Return a page with the metrics of a registry, as OpenMetrics or Prometheus' text: what is asked for.

    It shows nothing older than its request. But of requests that come close upon each other some wait, and
    get the same text.
    """
    texts = _SharedTexts(registry)

    async def page(request: PageRequest) -> PageReply:
        try:
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        return PageReply(await texts.get(encode, content_type), content_type)

    return page


class _SharedTexts:
    """Makes texts at a pace, each for everybody who has asked before it was made."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._pace = SharedPace(_PER_SECOND, _BURST, _FASTEST)
        self._making = trio.Lock()
        self._last = b""
        self._content_type = ""
        self._made_at = 0.0

    async def get(self, encode: Callable[[CollectorRegistry], bytes], content_type: str) -> bytes:
        asked_at = trio.current_time()
        async with self._making:
            if self._made_at <= asked_at or self._content_type != content_type:
                await self._pace.wait_for_turn()
                self._made_at = trio.current_time()
                self._last, self._content_type = encode(self._registry), content_type
            return self._last
