"""Figures for a paper: rows compared run by run, sizes, captions, colours."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report.stored_suite import run
from support import tiny
from typer.testing import CliRunner

from nasbench_evo.cli import app
from nasbench_evo.errors import InputError
from nasbench_evo.figures import critical_difference, style
from nasbench_evo.figures.suites import compared, overview
from nasbench_evo.results import finals
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.suite import Entry

ROWS = [Entry(algorithm=name) for name in ("random_search", "eigen", "local_search")]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    chosen = tiny(*ROWS, datasets=["cifar10", "cifar100"], seeds=8, evaluations=60)
    return read(run(chosen, tmp_path_factory.mktemp("kit") / "small"))


@pytest.fixture(scope="module")
def ended(stored: Stored) -> finals.Finals:
    found = finals.finals(stored.suite, stored.collected)
    assert found is not None
    return found


def test_a_profile_is_the_share_of_runs_at_or_below(ended: finals.Finals) -> None:
    with style.using():
        drawing = compared.profiles(ended)
        axes = drawing.axes[0]
        for line in axes.get_lines():
            values = ended.values("cifar10", str(line.get_label()))
            for x, y in list(zip(*line.get_data(), strict=True))[::17]:
                assert y == pytest.approx(100 * np.mean(values <= x))
        assert max(line.get_ydata()[-1] for line in axes.get_lines()) == 100
        assert [text.get_text() for text in drawing.legends[0].get_texts()] == ended.rows


def test_the_matrix_has_each_pair_twice(ended: finals.Finals) -> None:
    with style.using():
        axes = compared.matrix(ended).axes[0]
        written = {text.get_position(): int(text.get_text()) for text in axes.texts}
        labels = [text.get_text()[:-3] for text in axes.get_yticklabels()]  # without number
    assert len(written) == 6
    for i, j in itertools.combinations(range(3), 2):
        assert written[j, i] + written[i, j] in (99, 100, 101)  # rounded
        shares = []
        for dataset in ended.losses:
            own, other = (ended.values(dataset, labels[k]) for k in (i, j))
            gaps = np.subtract.outer(other, own)
            shares.append((gaps > 0).mean() + (gaps == 0).mean() / 2)
        p = np.mean(shares)
        assert written[j, i] == round(100 * p)  # row i is better than column j


def test_a_block_of_ranks_is_a_seed_on_a_data_set(ended: finals.Finals) -> None:
    ranked = finals.run_ranks(ended, 14)
    assert ranked is not None
    assert ranked.blocks == 16
    with style.using():
        drawing = critical_difference.of_runs(ended, ranked)
    words = [text.get_text() for text in drawing.axes[0].texts]
    assert [f"{ranked.rows[0]}  {ranked.overall.average_ranks[0]:.2f}"] == [
        text for text in words if text.startswith(ranked.rows[0])
    ]
    assert "further runs on these data sets, not of others" in str(drawing.get_label())


def test_regret_by_time_reaches_the_final_regret(stored: Stored, ended: finals.Finals) -> None:
    (_, draw) = next(overview.regret_by_time(stored.found, 100))
    with style.using():
        drawing = draw()
    for axes, dataset in zip(drawing.axes, ended.losses, strict=True):
        for line in axes.get_lines():
            expected = ended.values(dataset, str(line.get_label())).mean()
            assert np.asarray(line.get_ydata())[-1] == pytest.approx(expected)


@pytest.mark.parametrize("width", [*style.WIDTHS, None])
def test_a_width_is_kept_and_decides_how_many_panels_stand_side_by_side(width: str | None) -> None:
    with style.using(width=width):
        drawing, panels = style.panels(3, (4.1, 3.0), (0, 1.0))
        first = style.first_column(panels)
        style.legend(drawing)  # nothing is named: no legend
    assert not drawing.legends
    across = {"single": 1, "double": 3, "slide": 3, None: 3}[width]
    assert len(first) == 3 // across
    if width is not None:
        assert drawing.get_figwidth() == style.WIDTHS[width].inches


def test_an_unknown_width_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'double'"), style.using(width="doubel"):
        pass


def test_the_command_keeps_width_resolution_and_captions(stored: Stored) -> None:
    arguments = ["figures", str(stored.folder), "--format", "png", "--no-caption"]
    done = CliRunner().invoke(app, [*arguments, "--width", "single", "--dpi", "40"])
    assert done.exit_code == 0, done.output
    names = ("regret", "final", "profile", "improvement", "run_ranks")
    for name in names:
        with Image.open(stored.folder / f"{name}.png") as image:
            assert image.width == 140, name
        words = (stored.folder / f"{name}.txt").read_text()
        assert len(words) > 60
    assert {path.name for path in map(Path, done.output.split()) if path.suffix == ".txt"} == {
        f"{name}.txt" for name in names
    }


def test_names_stand_once_above_all_panels_and_are_broken_where_they_are_long() -> None:
    long = "an_algorithm (" + "a_setting=1, " * 20 + "last=2)"
    with style.using(width="single"):
        drawing, panels = style.panels(2, (3.0, 2.0))
        for axes in panels:
            axes.plot([0, 1], [0, 1], label=long)
        style.legend(drawing)
        (legend,) = drawing.legends
        (text,) = legend.get_texts()
    assert "\n" in text.get_text()
    assert text.get_text().replace("\n", " ") == long


def test_no_two_rows_look_alike() -> None:
    rows = [("random_search", "random_search (paper)")]
    for algorithm in ("genetic_cnn", "genetic_nas", "eigen"):
        rows += [(algorithm, f"{algorithm} ({size})") for size in (5, 10, 20, 40, 80)]
    for look in style.STYLES:
        with style.using(look):
            found = style.looks(rows)
            paints = [str(one.colour) for one in found.values()]
            assert len(set(paints)) == len(rows)  # shades of one algorithm are of no other
            alone = style.looks(rows[:6])
            assert len({str(one.colour) for one in alone.values()}) == 6
            assert found["random_search (paper)"] == (style.foreground(), "-", None)


def test_words_and_lines_can_be_seen_on_the_dark_ground() -> None:
    from matplotlib.colors import to_rgb

    with style.using("dark"):
        ground = to_rgb(style.background())
        for name in (*style.COLOURS, "own"):
            assert style._contrast(to_rgb(style.colour(name)), ground) >= 3
        for paint in ("#0072B2", "#882255", "#000000"):
            assert style._contrast(to_rgb(style.legible(paint, words=True)), ground) >= 4.5
    assert style._contrast((1, 1, 1), (0, 0, 0)) == pytest.approx(21)


def test_ticks_are_short() -> None:
    numbers = (0.05, 300, 9000, 20_000, 3e6)
    assert [style.plain_number(x) for x in numbers] == ["0.05", "300", "9000", "20k", "3M"]


def test_of_many_rows_the_best_of_each_algorithm_is_compared() -> None:
    losses = {"a": {f"x ({i})": {0: float(i), 1: i + 0.5} for i in range(9)} | {"y": {0: 3, 1: 4}}}
    found = finals.Finals("regret", {**{f"x ({i})": "x" for i in range(9)}, "y": "y"}, losses)
    assert found.best(20)[:2] == ["x (0)", "x (1)"]
    assert found.best(5) == ["x (0)", "y"]
    assert finals.run_ranks(found, 5) is None  # two rows cannot be ranked
