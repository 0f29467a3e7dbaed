"""What is kept of a server's output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trioecho.base.printable import printable_line
from trioecho.check.spawned.output_tail import OutputTail

lines = st.lists(st.text("ab \x1b", max_size=5).map(str.encode), max_size=20)


@given(lines, st.integers(1, 7), st.integers(1, 10))
def test_the_last_lines_are_those_that_were_written_last(written: list[bytes], cut: int, most: int) -> None:
    output = b"\n".join(written)
    tail = OutputTail()
    for start in range(0, len(output), cut):
        tail.add(output[start : start + cut])
    shown = [printable_line(line.decode()).rstrip() for line in written if line.strip()]
    assert tail.last_lines(most, with_rest=True) == tuple(shown[-most:])
    whole = [printable_line(line.decode()).rstrip() for line in written[:-1] if line.strip()]
    assert tail.last_lines(most, with_rest=False) == tuple(whole[-most:])


def test_of_much_output_little_is_kept() -> None:
    tail = OutputTail()
    piece = b"".join(b"line %d\n" % number for number in range(10_000))
    for start in range(0, 100 * len(piece), 65_521):
        tail.add((piece + piece)[start % len(piece) :][:65_521])
    tail.add(b"\nline 9998\nline 9999\n")
    assert tail.last_lines(2, with_rest=True) == ("line 9998", "line 9999")
    kept = tail.last_lines(10**6, with_rest=True)
    assert set(kept[:-3]) <= {f"line {number}" for number in range(10_000)}  # the first one is whole
    assert len(kept) < 60_000


def test_a_line_that_never_ends_is_shown_by_its_beginning() -> None:
    tail = OutputTail()
    tail.add(b"x" * 10**6)
    assert tail.last_lines(1, with_rest=False) == ()
    assert tail.last_lines(1, with_rest=True) == ("x" * 300 + "...",)
