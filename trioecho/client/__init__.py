"""The client's side: of ``trioecho client``, which verifies every echo, and the library's `FrameClient`."""
