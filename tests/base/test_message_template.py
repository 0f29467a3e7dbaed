"""Templates of messages: what placeholders stand for, and how it is said what is wrong."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from trioecho.base.message_template import Template, TemplateError, TemplateKind, Values

VALUES = Values(seed=7, connection=3, number=17, time_ms=1_700_000_000_123)
ALL_VALUES = st.builds(
    Values,
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 24) - 1),
    st.integers(1, 1 << 40),
    st.integers(10**12, 10**13 - 1),
)


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("", b""),
        ("no placeholder }} {", b"no placeholder }} {"),
        ("{{connection}}-{{number}}-{{time}}", b"3-17-1700000000123"),
        ('{"id": {"n": {{number}}}}', b'{"id": {"n": 17}}'),
        ("{{ number }}{{number 5}}", b"1700017"),
        ("{{time 3}}", b"123"),
        ("{{{{number}} is {{number}}", b"{{number}} is 17"),
        ("é{{connection 1}}", "é3".encode()),
    ],
)
def test_a_template_of_text(source: str, payload: bytes) -> None:
    assert Template(source, "text").render(VALUES) == payload


@pytest.mark.parametrize(
    ("source", "payload"),
    [
        ("", ""),
        ("00 01{{number u8}}ff", "000111ff"),
        ("{{connection u16be}} {{connection u16le}}", "00030300"),
        ("{{time u32be}}", (1_700_000_000_123 % (1 << 32)).to_bytes(4, "big").hex()),
        ("{{time u64le}}{{number u24be}}", (1_700_000_000_123).to_bytes(8, "little").hex() + "000011"),
    ],
)
def test_a_template_of_bytes(source: str, payload: str) -> None:
    assert Template(source, "hex").render(VALUES).hex() == payload


@examples(200)
@given(values=ALL_VALUES, other=ALL_VALUES, kind=st.sampled_from(["text", "hex"]), count=st.integers(1, 300))
def test_random_follows_from_what_a_message_is(
    values: Values, other: Values, kind: TemplateKind, count: int
) -> None:
    template = Template(f"{{{{random {count}}}}}", kind)
    made = template.render(values)
    assert len(made) == count
    assert made == Template(f"{{{{random {count}}}}}", kind).render(values._replace(time_ms=0))
    # The beginning is that of a longer one: a reply can repeat a part of its message.
    assert Template("{{random 400}}", kind).render(values).startswith(made)
    if kind == "text":
        assert re.fullmatch(rb"[a-z2-7]*", made)
    if count >= 16 and values[:3] != other[:3]:
        assert made != template.render(other)


def test_two_random_ones_in_a_message_differ() -> None:
    made = Template("{{random 16}}{{random 16}}", "hex").render(VALUES)
    assert made[:16] != made[16:]


NUMBERS = st.sampled_from(["connection", "number", "time"])
TEXT_PIECES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}"), max_size=5),
    NUMBERS.map("{{{{{}}}}}".format),
    st.builds("{{{{{} {}}}}}".format, NUMBERS, st.integers(1, 20)),
    st.integers(1, 30).map("{{{{random {}}}}}".format),
    st.just("{{{{"),
)


@examples(200)
@given(pieces=st.lists(TEXT_PIECES, max_size=6), values=ALL_VALUES)
def test_it_is_known_beforehand_how_long_a_message_may_be(pieces: list[str], values: Values) -> None:
    template = Template("".join(pieces), "text")
    made = template.render(values)
    assert template.least_bytes <= len(made) <= template.most_bytes
    assert made == b"".join(
        Template(piece, "text").render(values) for piece in pieces if "random" not in piece
    ) or "random" in "".join(pieces)
    assert template.has_time == any("{{time" in piece for piece in pieces)


@pytest.mark.parametrize(
    ("source", "kind", "piece", "words"),
    [
        (
            "a {{numbr}} b",
            "text",
            "{{numbr}}",
            "{{numbr}} is none of connection, number, time and random N; did",
        ),
        ("a {{numbr}} b", "text", "{{numbr}}", "; did you mean number?"),
        ("{{}}", "text", "{{}}", "{{}} is none of"),
        (
            "{{number u8}}",
            "text",
            "{{number u8}}",
            "how many digits is a number from 1 to 20, as {{number 8}}",
        ),
        ("{{number 21}}", "text", "{{number 21}}", "from 1 to 20"),
        (
            "{{random}}",
            "hex",
            "{{random}}",
            "{{random}}: how many is a number from 1 to 65536, as {{random 8}}",
        ),
        ("{{random 0}}", "hex", "{{random 0}}", "from 1 to 65536"),
        (
            "{{number}}",
            "hex",
            "{{number}}",
            "in hexadecimal it needs a format (u8, u16be, u32le, u64be, ...), as",
        ),
        ("{{number u16}}", "hex", "{{number u16}}", "as {{number u32be}}"),
        ("0 {{number u8}} 0", "hex", "0 ", "'0 ' is not hexadecimal: two digits a byte"),
        ("a {{number", "text", "{{number", "{{number has no }} behind it; two open braces are written {{{{"),
        ("\ud800{{number}}", "text", "\ud800", "half of a surrogate pair is no character"),
    ],
)
def test_what_is_wrong_is_said(source: str, kind: TemplateKind, piece: str, words: str) -> None:
    with pytest.raises(TemplateError) as error:
        Template(source, kind)
    assert words in str(error.value)
    assert error.value.piece == piece
    assert "\n" not in str(error.value)
