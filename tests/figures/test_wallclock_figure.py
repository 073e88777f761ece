"""The figure of regret against the simulated clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasbench_evo.figures import style, wallclock
from nasbench_evo.replays.wallclock import WallclockRow


def points(algorithm: str, preset: str, workers: int, last: float) -> list[WallclockRow]:
    times = ((3600.0, 10.0), (7200.0, last))
    return [
        WallclockRow("cifar10", algorithm, preset, workers, True, t, 5, r, r * 0.9, r * 1.1, 1.0)
        for t, r in times
    ]


def test_lines_are_regret_against_hours() -> None:
    rows = [*points("eigen", "paper", 1, 2.0), *points("eigen", "paper", 4, 0.0)]
    with style.using():
        figure = wallclock.figure(rows)
        (axes,) = figure.axes
        solid, dotted = axes.get_lines()
        assert list(solid.get_xdata()) == [1.0, 2.0]
        assert list(dotted.get_ydata()) == [10.0, 2.0]
        assert solid.get_label() == "eigen (paper), K=4, asynchronous"
        assert "K=1" in str(dotted.get_label())
        assert (solid.get_linestyle(), solid.get_color()) == ("-", style.colour("eigen"))
        assert axes.get_xscale() == axes.get_yscale() == "log"
        assert 0 < axes.get_ylim()[0] <= 1.0  # zero regret leaves the frame downwards
        assert len(axes.collections) == 2


def test_of_many_rows_the_best_of_each_algorithm_is_drawn() -> None:
    rows = [
        point
        for i in range(8)
        for workers in (1, 4)
        for point in points("eigen", f"p{i}", workers, 1.0 + abs(i - 3))
    ]
    with style.using():
        lines = wallclock.figure([*rows, *points("eg_nas", "paper", 4, 9.0)]).axes[0].get_lines()
    assert [str(line.get_label()).split(",")[0] for line in lines] == [
        "eigen (p3)",
        "eg_nas (paper)",
        "eigen (p3)",
    ]


@pytest.mark.parametrize("look", style.STYLES)
def test_same_rows_same_bytes(look: str, tmp_path: Path) -> None:
    rows = points("random_search", "paper", 2, 3.0)
    first = wallclock.draw(rows, tmp_path / "a", look=look)
    second = wallclock.draw(rows, tmp_path / "b", look=look)
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
