"""Small SVG pictures: what is drawn, where, and that any label and any number of points will do."""

from xml.etree import ElementTree

import numpy as np

from forge_core.plotting.svg import points_svg


def circles(svg: str) -> list[ElementTree.Element]:
    return [shape for shape in ElementTree.fromstring(svg) if shape.tag.endswith("circle")]


def test_every_point_is_inside_and_the_last_group_is_the_strongest() -> None:
    groups = [np.random.default_rng(seed).normal(size=(5 + seed, 2)) for seed in range(3)]
    svg = points_svg(groups, ["sharpe", "max_drawdown"])
    found = circles(svg)
    assert len(found) == 5 + 6 + 7
    assert all(12 <= float(c.get("cx", 0)) <= 308 and 12 <= float(c.get("cy", 0)) <= 146 for c in found)
    assert len({c.get("fill") for c in found}) == 3
    assert found[-1].get("fill") == "#2b59c3"
    assert len(svg) < 3000


def test_up_is_more() -> None:
    low, high = circles(points_svg([[[0.0, 1.0], [0.0, 2.0]]], ["a", "b"]))
    assert float(high.get("cy", 0)) < float(low.get("cy", 0))
    assert "b 1 to 2" in points_svg([[[0.0, 1.0], [0.0, 2.0]]], ["a", "b"])


def test_odd_cases() -> None:
    assert circles(points_svg([[], []], ["a", "b"])) == []
    assert len(circles(points_svg([[[1.0, 1.0, 5.0]]], ["<a&b>", "b", "c"]))) == 1
    assert len(circles(points_svg([[[i, i]] for i in range(9)], ["a", "b"]))) == 9
