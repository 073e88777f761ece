"""The figures of shared weights beside standalone trainings."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nasbench_evo import spaces
from nasbench_evo.analysis.rank_correlation import RankCorrelation
from nasbench_evo.analysis.statistics import UNDEFINED, Interval
from nasbench_evo.figures import rank_correlation as figures
from nasbench_evo.figures import style
from nasbench_evo.randomness import Stream
from nasbench_evo.results import weight_sharing

REFERENCE = Interval(0.8, 0.75, 0.85)


def curve(taus: list[float], half: float = 0.1) -> weight_sharing.Curve:
    return [
        (5 * i, RankCorrelation(30, {"kendall_tau": Interval(tau, tau - half, tau + half)}))
        for i, tau in enumerate(taus, start=1)
    ]


def test_one_seed_has_its_own_interval() -> None:
    with style.using():
        drawing = figures.tau_curves({"eg_nas": [curve([0.1, 0.3])]}, reference=REFERENCE)
        lines = {str(line.get_label()): line for line in drawing.axes[0].get_lines()}
        (bars,) = drawing.axes[0].containers
        line = bars.lines[0]
        (reference,) = (line for label, line in lines.items() if "retest" in label)
        assert list(line.get_xdata()) == [5, 10]
        assert list(line.get_ydata()) == [0.1, 0.3]
        assert line.get_color() == style.colour("eg_nas")
        assert list(reference.get_ydata()) == [0.8, 0.8]
        assert "retest reference" in str(reference.get_label())
        assert "0.80" in str(reference.get_label())
        first, second = (segment[:, 1] for segment in bars.lines[2][0].get_segments())
        assert [*first, *second] == pytest.approx([0.0, 0.2, 0.2, 0.4])
        assert "over 30 genotypes" in str(drawing.get_supxlabel())


def test_several_seeds_are_a_mean_and_bars_stand_side_by_side() -> None:
    runs = {
        "genetic_nas": [curve([0.1, 0.2]), curve([0.3, 0.6])],
        "eg_nas": [curve([0.0, 0.0]), curve([0.2, math.nan])],
    }
    with style.using():
        drawing = figures.tau_curves(runs)
        mean, other = (bars.lines[0] for bars in drawing.axes[0].containers)
        assert list(mean.get_ydata()) == pytest.approx([0.2, 0.4])
        # A seed without a tau at an epoch leaves a hole there, not a mean of the others.
        assert math.isnan(other.get_ydata()[1])
        assert (np.asarray(mean.get_xdata()) < [5, 10]).all()
        assert (np.asarray(other.get_xdata()) > [5, 10]).all()
        labels = [text.get_text() for text in drawing.legends[0].get_texts()]
        assert labels == ["genetic_nas", "eg_nas"]
        assert "2 seeds" in str(drawing.get_supxlabel())


def test_many_epochs_have_a_band() -> None:
    with style.using():
        axes = figures.tau_curves({"eg_nas": [curve([0.1] * 20)]}).axes[0]
        assert not axes.containers
        (band,) = axes.collections
        assert np.nanmax(band.get_paths()[0].vertices[:, 1]) == pytest.approx(0.2)


def sample(n: int) -> tuple[np.ndarray, np.ndarray, RankCorrelation]:
    rng = np.random.default_rng(0)
    y = rng.normal(90, 2, n)
    found = RankCorrelation(n, {"kendall_tau": Interval(0.5, 0.4, 0.6)})
    return y + rng.normal(0, 1, n), y, found


@pytest.mark.parametrize("n", [30, 1000])
def test_scatter_has_every_point_once_in_the_colour_of_its_count(n: int) -> None:
    x, y, found = sample(n)
    counts = np.arange(n) % 3
    with style.using():
        drawing = figures.scatter(
            x, y, found, labels=("shared (%)", "alone (%)"), counts=counts, counted="convolutions"
        )
        (axes,) = drawing.axes
        assert [len(points.get_offsets()) for points in axes.collections] == [
            int((counts == i).sum()) for i in range(3)
        ]
        assert len({tuple(points.get_facecolor()[0]) for points in axes.collections}) == 3
        np.testing.assert_array_equal(
            np.asarray(axes.collections[1].get_offsets()), np.stack([x, y], axis=1)[1::3]
        )
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("shared (%)", "alone (%)")
        assert drawing.legends[0].get_title().get_text() == "convolutions"
        assert axes.texts[0].get_text() == f"Kendall's tau-b 0.50 [0.40, 0.60]\nn = {n}"
        assert all(points.get_rasterized() == (n > 400) for points in axes.collections)


def test_the_text_is_in_an_empty_corner() -> None:
    x = np.linspace(0, 1, 50)
    found = RankCorrelation(50, {"kendall_tau": Interval(-1.0, math.nan, math.nan)})
    with style.using():
        for y, corners in ((x, {(0.02, 0.97), (0.98, 0.03)}), (-x, {(0.02, 0.03), (0.98, 0.97)})):
            (text,) = figures.scatter(x, y, found, labels=("x", "y")).axes[0].texts
            assert text.get_position() in corners
            assert text.get_text() == "Kendall's tau-b -1.00\nn = 50"
        constant = RankCorrelation(50, {"kendall_tau": UNDEFINED})
        (text,) = figures.scatter(x, np.ones(50), constant, labels=("x", "y")).axes[0].texts
        assert text.get_text() == "Kendall's tau-b undefined\nn = 50"


def pairs(n: int) -> weight_sharing.PairedSearches:
    space = spaces.get("nasbench201")
    y = 90 + np.linspace(-1, 1, n)
    shared = y - np.linspace(0.5, 1.5, n)
    some = space.sample(Stream(1), 2 * n)
    return weight_sharing.paired(space, some[:n], some[n:], shared, y, rng=Stream(2))


def test_paired_dots_have_a_line_a_seed_and_both_means() -> None:
    result = pairs(6)
    with style.using():
        drawing = figures.paired_dots({"genetic_nas": result, "eg_nas": result}, best=92.5)
        left, right = drawing.axes
        lines = [tuple(line.get_ydata()) for line in left.get_lines()]
        assert set(result.accuracies) <= set(lines)
        assert (result.shared.estimate,) in lines
        assert (result.table.estimate,) in lines
        assert (92.5, 92.5) in lines
        assert left.get_title().startswith("genetic_nas (n = 6)\n−1.00 [−")
        assert right.get_title().startswith("eg_nas")
        assert [label.get_text() for label in left.get_xticklabels()] == ["shared weights", "table"]
        bars = [bar.lines[2][0].get_segments()[0] for bar in left.containers]
        assert bars[0][:, 1] == pytest.approx([result.shared.low, result.shared.high])
        assert bars[1][:, 1] == pytest.approx([result.table.low, result.table.high])


def test_one_seed_can_be_drawn() -> None:
    with style.using():
        (axes,) = figures.paired_dots({"eg_nas": pairs(1)}).axes
        assert "n = 1" in axes.get_title()


def test_same_input_same_bytes(tmp_path: Path) -> None:
    x, y, found = sample(500)

    def written(name: str) -> list[bytes]:
        with style.using():
            drawings = [
                figures.tau_curves({"eg_nas": [curve([0.1, 0.3])] * 2}, reference=REFERENCE),
                figures.scatter(x, y, found, labels=("x", "y")),
                figures.paired_dots({"eg_nas": pairs(5)}),
            ]
            return [
                path.read_bytes()
                for i, drawing in enumerate(drawings)
                for path in style.save(drawing, tmp_path / f"{name}{i}", ("svg",))
            ]

    assert written("a") == written("b")
