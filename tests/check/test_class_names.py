"""How the files of a class get their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.check.output.page_names import page_names
from trioecho.cli.check_names import names_of_files


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ("hw/ada/server.py hw/alan/server.py", "ada alan"),
        ("hw/ada.py hw/alan.py", "ada alan"),
        ("ada.py hw/alan.py", "ada.py hw"),
        ("hw/ada/src/main.py hw/alan/server.py", "ada alan"),
        ("./hw//ada/server.py hw/alan/./server.py", "ada alan"),
        ("../ada/s.py ../alan/s.py", "ada alan"),
        ("/home/ada/s.py /home/alan/s.py", "ada alan"),
        ("hw/ada/1.py hw/ada/2.py hw/alan/1.py", "ada/1 ada/2 alan/1"),
        ("go/server.go rust/src/main.rs", "go rust"),
        ("server.go server.rs", "server.go server.rs"),
        ("1/ada/s.py 1/alan/s.py 2/ken/s.py", "ada alan ken"),
        ("hw hw/ada", "hw hw/ada"),
        ("hw/ada/server.py", "hw/ada/server.py"),
        ("a.py a.py", "a.py a.py"),
        ("hw/ada/s.py hw/alan/s.py hw/ada/s.py", "ada alan ada"),
        ("", ""),
    ],
)
def test_a_name_is_what_differs_in_the_paths(paths: str, names: str) -> None:
    assert names_of_files(paths.split()) == names.split()


parts = st.text(st.sampled_from("ab."), min_size=1, max_size=3).filter(lambda part: set(part) != {"."})
paths = st.lists(st.lists(parts, min_size=1, max_size=4).map("/".join), max_size=6)


@given(paths)
def test_different_paths_have_different_names(paths: list[str]) -> None:
    names = names_of_files(paths)
    assert len(names) == len(paths)
    assert all(names)
    assert len(set(names)) == len(set(paths))


@given(st.lists(st.text(max_size=80) | st.sampled_from(["ada", "Ada", "index", "a/da", "a:da", "..", ""])))
def test_every_server_has_a_page_of_its_own(targets: list[str]) -> None:
    names = page_names(targets)
    assert len({name.casefold() for name in (*names, "index.html")}) == len(targets) + 1
    assert not any(set('/\\:*?"<>|\0') & set(name) or name.startswith((".", "-")) for name in names)


def test_pages_are_named_as_their_servers_are() -> None:
    assert page_names(
        ["ada", "Ada", "Grace H.", "127.0.0.1:26066", "index", "../x", "Ἀδά", "python {port}"]
    ) == [
        "ada.html",
        "Ada-2.html",
        "Grace-H.html",
        "127.0.0.1-26066.html",
        "index-2.html",
        "x.html",
        "Ἀδά.html",
        "python-port.html",
    ]
