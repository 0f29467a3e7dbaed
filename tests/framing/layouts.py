"""Any layout of a frame, and an oracle that shares nothing with the code: bits and digits are text to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hypothesis import strategies as st

# Of any value, exactly these, or a byte that counts padding: the word for it.
Parts = tuple["int | bytes | str", ...]


@dataclass(frozen=True)
class Spec:
    """A layout as the oracle knows it, and the text that describes it."""

    kind: str
    most: int
    least: int = 0
    order: str = "be"
    flags: int = 0
    counted: str = ""
    before: Parts = ()
    behind: Parts = ()
    trailer: Parts = ()

    @property
    def number_text(self) -> str:
        if self.kind in ("u", "i"):
            order = self.order if self.most > 8 else ""
            return f"{self.kind}{self.most}{order}" + (f":{self.flags}" if self.flags else "")
        return f"{self.kind}{self.least}-{self.most}" if self.least else f"{self.kind}{self.most}"

    @property
    def text(self) -> str:
        header = [*texts(self.before), self.number_text + self.counted, *texts(self.behind)]
        return ",".join([*header, *(["payload", *texts(self.trailer)] if self.trailer else [])])

    @property
    def number_bytes(self) -> int:
        """Of the shortest number."""
        if self.kind in ("u", "i"):
            return (self.most + 7) // 8
        return (self.least or self.most) if self.kind in ("dec", "hex") else 1

    @property
    def has_padding(self) -> bool:
        return "pad8" in (*self.before, *self.behind)

    @property
    def has_fixed_width(self) -> bool:
        return self.kind in ("u", "i") or (self.kind in ("dec", "hex") and not self.least)

    @property
    def extra(self) -> int:
        """What the number counts beside the payload."""
        sizes = {
            "header": size_of(self.before) + self.number_bytes + size_of(self.behind),
            "itself": self.number_bytes,
            "rest": size_of(self.behind),
            "trailer": size_of(self.trailer),
        }
        return sum(sizes[word] if word in sizes else int(word) for word in self.counted.split("+")[1:])

    @property
    def largest(self) -> int:
        if self.kind in ("dec", "hex"):
            return int("f" * self.most, 16) if self.kind == "hex" else int("9" * self.most)
        bits = {"i": self.most - 1, "varint": 7 * self.most, "ber": 8 * self.most}.get(self.kind, self.most)
        return int("1" * bits or "0", 2)


def size_of(parts: Parts) -> int:
    return len(free(parts))


def texts(parts: Parts) -> list[str]:
    words = {part: f"any{part}" if isinstance(part, int) else str(part) for part in parts}
    return [f"x{part.hex()}" if isinstance(part, bytes) else words[part] for part in parts]


def free(parts: Parts) -> bytes:
    if not parts:
        return b""
    first, *others = parts
    here = b"\0" if isinstance(first, str) else bytes(first)
    return here + free(tuple(others))


def padding_in(header: bytes, number_bytes: int, spec: Spec) -> int:
    """What a whole header says of padding."""
    if "pad8" in spec.before:
        return header[size_of(spec.before[: spec.before.index("pad8")])]
    if "pad8" in spec.behind:
        at = size_of(spec.before) + number_bytes + size_of(spec.behind[: spec.behind.index("pad8")])
        return header[at]
    return 0


def write_number(value: int, spec: Spec) -> bytes:
    if spec.kind in ("u", "i"):
        bits = f"{spec.flags:b}" if spec.flags else ""
        text = (bits + f"{value:0{spec.most}b}").zfill(8 * spec.number_bytes)
        octets = [int(octet, 2) for octet in re.findall(".{8}", text)]
        return bytes(octets if spec.order == "be" or spec.most <= 8 else octets[::-1])
    if spec.kind in ("dec", "hex"):
        text = f"{value:d}" if spec.kind == "dec" else f"{value:x}"
        return text.rjust(spec.least or spec.most, "0").encode()
    if spec.kind == "varint":
        text = f"{value:b}"
        septets = re.findall(".{7}", text.zfill(-(-len(text) // 7) * 7))
        return bytes(
            int(septet, 2) + (128 if i + 1 < len(septets) else 0) for i, septet in enumerate(septets[::-1])
        )
    if value < 128:
        return bytes([value])
    octets_text = f"{value:x}"
    octets_text = octets_text.zfill(len(octets_text) + len(octets_text) % 2)
    return bytes([128 + len(octets_text) // 2]) + bytes.fromhex(octets_text)


def naive_layout_frame(payload: bytes, spec: Spec) -> bytes:
    number = write_number(len(payload) + spec.extra, spec)
    return free(spec.before) + number + free(spec.behind) + payload + free(spec.trailer)


@st.composite
def peers_frames(draw: st.DrawFn, payload: bytes, spec: Spec) -> bytes:
    """A frame of a peer, who gives what is free any value."""

    padding = draw(st.one_of(st.just(b""), st.binary(max_size=9), st.binary(min_size=255, max_size=255)))

    def anything(parts: Parts) -> bytes:
        some = b""
        for part in parts:
            match part:
                case int():
                    some += draw(st.binary(min_size=part, max_size=part))
                case str():
                    some += bytes([len(padding)])
                case _:
                    some += part
        return some

    flags = draw(st.integers(0, (1 << -spec.most % 8) - 1)) if spec.kind == "u" else 0
    value = len(payload) + spec.extra
    number = write_number(value, replace(spec, flags=flags))
    if spec.kind == "ber" and spec.most == 8 and draw(st.booleans()):
        number = b"\x88" + value.to_bytes(8, "big")  # longer than it needs to be, as some write it
    end = padding if spec.has_padding else anything(spec.trailer)
    return anything(spec.before) + number + anything(spec.behind) + payload + end


def wrong_at(data: bytes, parts: Parts) -> int | None:
    """Where bytes that begin with these parts, perhaps not all of them, differ from them."""
    pattern: list[int | None] = []
    for part in parts:
        pattern += part if isinstance(part, bytes) else [None] * size_of((part,))
    pairs = enumerate(zip(data, pattern, strict=False))
    return next((at for at, (byte, wanted) in pairs if wanted is not None and byte != wanted), None)


def read_number(data: bytes, ahead: bytes, spec: Spec) -> tuple[str, int, int]:
    """Return "number", its bytes and its value; "wrong" and where; or "more" and how many bytes at least.

    Digits of any number end at the first byte that is none, so they are looked for in all that came.
    """
    if spec.kind in ("u", "i"):
        octets = data[: spec.number_bytes]
        if len(octets) < spec.number_bytes:
            return "more", spec.number_bytes, 0
        bits = "".join(
            f"{octet:08b}" for octet in (octets if spec.order == "be" or spec.most <= 8 else octets[::-1])
        )
        if spec.kind == "i" and bits[0] == "1":
            return "wrong", 0, 0
        return "number", spec.number_bytes, int(bits[-spec.most :], 2)
    if spec.kind == "varint":
        septets = re.match(rb"[\x80-\xff]*", data)
        assert septets is not None
        size = septets.end() + 1
        if size > spec.most:
            return "wrong", spec.most - 1, 0
        if size > len(data):
            return "more", size, 0
        if size > 1 and data[size - 1] == 0:
            return "wrong", size - 1, 0
        return "number", size, int("".join(f"{octet:08b}"[1:] for octet in data[:size][::-1]), 2)
    if spec.kind in ("dec", "hex"):
        least = spec.least or spec.most
        window = (data + ahead[len(data) : len(data) + 1] if spec.least else data)[: spec.most]
        digits = re.match(rb"[0-9]*" if spec.kind == "dec" else rb"[0-9a-fA-F]*", window)
        assert digits is not None
        size = digits.end()
        if size < spec.most and size == len(window):
            return "more", max(least, size), 0
        if size < least:
            return "wrong", size, 0
        if size > least and ahead[:1] == b"0":
            return "wrong", 0, 0
        return "number", size, int(digits[0], 10 if spec.kind == "dec" else 16)
    if not data:
        return "more", 1, 0
    if data[0] < 128:
        return "number", 1, data[0]
    size = data[0] - 128
    if size == 0 or size > spec.most:
        return "wrong", 0, 0
    if len(data) <= size:
        return "more", size + 1, 0
    return "number", size + 1, int(data[1 : size + 1].hex(), 16)


def naive_layout_next(wire: bytes, spec: Spec, limit: int) -> tuple[object, ...]:
    """What the wire begins with: a frame and how many bytes it has, or what is wrong with it."""
    if not wire:
        return ("nothing",)
    start, rest = size_of(spec.before), size_of(spec.behind)
    shortest = start + spec.number_bytes + rest
    if len(wire) < shortest:
        return "incomplete", len(wire), shortest
    if (wrong := wrong_at(wire, spec.before)) is not None:
        return "malformed", wrong
    # The number is read from what there is without what has to follow it.
    what, size, value = read_number(wire[start : len(wire) - rest], wire[start:], spec)
    if what == "wrong":
        return "malformed", start + size
    header = start + size + rest
    if what == "more" or len(wire) < header:
        return "incomplete", len(wire), header
    if (wrong := wrong_at(wire[start + size :], spec.behind)) is not None:
        return "malformed", start + size + wrong
    if value < spec.extra:
        return "too small", value, spec.extra
    length = value - spec.extra
    if length > limit:
        return "too large", length, limit
    end = header + length + size_of(spec.trailer) + padding_in(wire, size, spec)
    if len(wire) < end:
        return "incomplete", len(wire), end
    if (wrong := wrong_at(wire[header + length :], spec.trailer)) is not None:
        return "malformed", header + length + wrong
    return "frame", (wire[:header], wire[header : header + length], wire[header + length : end]), end


def _as_parts(parts: list[int | bytes]) -> Parts:
    return tuple(parts)


PARTS = st.lists(
    st.one_of(st.integers(1, 3), st.binary(min_size=1, max_size=3), st.sampled_from([b"\0", b"\xce"])),
    max_size=3,
).map(_as_parts)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    kind = draw(st.sampled_from(["u", "u", "i", "varint", "varint", "ber", "dec", "hex"]))
    least = flags = 0
    order = draw(st.sampled_from(["be", "le"]))
    before, behind, trailer = draw(PARTS), draw(PARTS), draw(PARTS)
    padded = draw(st.sampled_from(["", "", "before", "behind"]))
    if kind == "u":
        most = draw(st.one_of(st.integers(1, 64), st.sampled_from([8, 16, 24, 32])))
        flags = draw(st.integers(0, (1 << -most % 8) - 1))
    elif kind == "i":
        most = draw(st.sampled_from([8, 16, 24, 32, 40, 64]))
    elif kind in ("varint", "ber"):
        most = draw(st.integers(1, 9 if kind == "varint" else 8))
    else:
        most = draw(st.integers(1, 19))
        if draw(st.booleans()) and most > 1:
            least = draw(st.integers(1, most - 1))
            behind = (draw(st.sampled_from([b":", b"\r\n", b"\0"])), *behind)
    if padded == "before":
        before, trailer = _with_padding(draw, before, 0), ()
    elif padded == "behind":
        behind, trailer = _with_padding(draw, behind, 1 if least else 0), ()
    fixed = ["+header", "+itself"] if kind in ("u", "i") or (kind in ("dec", "hex") and not least) else []
    counted = draw(st.sampled_from(["", "", "", "+rest", "+trailer", "+rest+trailer", "+3", *fixed, *fixed]))
    spec = Spec(kind, most, least, order, flags, counted, before, behind, trailer)
    return (
        spec
        if spec.extra <= spec.largest
        else Spec(kind, most, least, order, flags, "", before, behind, trailer)
    )


def _with_padding(draw: st.DrawFn, parts: Parts, first: int) -> Parts:
    at = draw(st.integers(min(first, len(parts)), len(parts)))
    return (*parts[:at], "pad8", *parts[at:])


SPECS = specs()
