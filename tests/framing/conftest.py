from __future__ import annotations

import pytest

from tests.framing.examples import CountingBuffer
from trioecho import framing


@pytest.fixture
def counting_buffer(monkeypatch: pytest.MonkeyPatch) -> type[CountingBuffer]:
    """What decoders have from now on for a buffer."""
    monkeypatch.setattr(framing.decoder, "ReceiveBuffer", CountingBuffer)
    monkeypatch.setattr(CountingBuffer, "moved", 0)
    return CountingBuffer
