"""The suite's own frames of any format are those of the oracle, and it reads no others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.framing.layouts import SPECS, Spec, naive_layout_frame, naive_layout_next, peers_frames
from tests.support.examples import examples
from trioecho.cli.check_wire import wire_of
from trioecho.framing import FrameFormat


@examples(300)
@given(data=st.data(), spec=SPECS)
def test_frames_are_written_and_read_as_the_oracle_does(data: st.DataObject, spec: Spec) -> None:
    wire = wire_of(FrameFormat.parse(spec.text))
    most = min(300, spec.largest - spec.extra)
    payloads = [bytes(data.draw(st.integers(0, most))) for _ in range(data.draw(st.integers(0, 3)))]
    assert str(wire) == str(FrameFormat.parse(spec.text))
    assert wire.largest_number == spec.largest
    assert wire.largest_payload == spec.largest - spec.extra
    for payload in payloads:
        assert wire.frame(payload) == naive_layout_frame(payload, spec)
        assert wire.size(payload) == len(naive_layout_frame(payload, spec))

    peers = [data.draw(peers_frames(payload, spec)) for payload in payloads]
    rest = b""
    if peers and (cut := data.draw(st.integers(0, 2 * len(peers[-1])))) < len(peers[-1]):
        rest, payloads = peers.pop()[:cut], payloads[:-1]
    if naive_layout_next(rest, spec, 300)[0] == "frame":
        return  # what was cut off was nothing
    assert wire.split(b"".join(peers) + rest) == (payloads, rest)


@examples(300)
@given(data=st.data(), spec=SPECS)
def test_what_is_no_frame_is_not_read_as_one(data: st.DataObject, spec: Spec) -> None:
    wire = wire_of(FrameFormat.parse(spec.text))
    garbage = data.draw(
        st.one_of(st.binary(max_size=30), st.text("0019aA:\x7f", max_size=20).map(str.encode))
    )
    found = naive_layout_next(garbage, spec, 1 << 64)
    payloads, rest = wire.split(garbage)
    if found[0] == "frame":
        assert payloads
    elif spec.kind in ("u", "i", "ber"):  # of a varint or digits that are too long a value is read
        assert (payloads, rest) == ([], garbage)
