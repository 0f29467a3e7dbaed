"""How often values came, as shades."""

from __future__ import annotations

import pytest

from trioecho.load.report.heat_map import _SHADES, _shaded
from trioecho.load.report.plot import HeatColumn


@pytest.mark.parametrize("most", range(1, 100))
def test_the_most_frequent_is_the_darkest_and_a_single_one_is_seen(most: int) -> None:
    column = HeatColumn(0.0, 1.0, [(float(count), count) for count in range(1, most + 1)], 0.0)
    shades = [shade for _, shade in _shaded(column, most)]
    assert shades == sorted(set(shades))
    assert shades[-1] == _SHADES - 1
    assert shades[0] >= 0


def test_heights_without_a_value_are_left_out_and_those_of_one_shade_are_one_box() -> None:
    column = HeatColumn(2.0, 3.0, [(1.0, 0), (2.0, 9), (3.0, 9), (4.0, 0), (5.0, 1)], 0.5)
    assert list(_shaded(column, 9)) == [((2.0, 1.0, 3.0, 3.0), 5), ((2.0, 4.0, 3.0, 5.0), 1)]
