"""Figures and sentences of a results folder: what is written, that it repeats, that it is right."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from report.stored_suite import make
from support import cli, tiny

from nasbench_evo import spaces, tables
from nasbench_evo.errors import DataError, InputError, Unsupported
from nasbench_evo.figures import build, style
from nasbench_evo.figures.ablations import generations
from nasbench_evo.figures.architectures import graphs
from nasbench_evo.figures.suites import regret
from nasbench_evo.replays import generations as ablation_traces
from nasbench_evo.results import ablation
from nasbench_evo.results.ablation import Factor, Runs, factors
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.results.runs import Point
from nasbench_evo.suite import Entry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("figures"))


@pytest.fixture(scope="module")
def stored(folder: Path) -> Stored:
    return read(folder)


@pytest.fixture(scope="module")
def made(folder: Path) -> list[Path]:
    return build.make(folder, ["png"], build.Page())


def test_a_suite_has_its_figures_and_sentences(made: list[Path]) -> None:
    names = {path.name for path in made}
    assert names == {
        "regret.png",
        "final.png",
        "profile.png",
        "improvement.png",
        "run_ranks.png",
        "eigen_paper_primary_step.png",
        "eigen_paper_primary_step_progress.png",
        "genetic_cnn_paper_population_size_q_mutation_cifar10.png",
        "genetic_cnn_paper_population_size_q_mutation_cifar100.png",
        "genetic_cnn_paper_population_size_q_mutation_cifar10_ended.png",
        "genetic_cnn_paper_population_size_q_mutation_cifar100_ended.png",
        "ablation.md",
        "ablation.json",
        "replayed.json",
    }
    for path in made:
        assert 0 < path.stat().st_size < 300_000


@pytest.mark.slow
@pytest.mark.parametrize(("look", "kinds"), [("paper", "png,svg,pdf"), ("dark", "png")])
def test_the_same_runs_give_the_same_bytes_in_another_process(
    stored: Stored, folder: Path, tmp_path: Path, look: str, kinds: str
) -> None:
    build.draw(stored, tmp_path, kinds.split(","), build.Page(look))
    done = cli("figures", folder, "--format", kinds, "--style", look)
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 8 * len(kinds.split(","))
    for name in files:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_sentences_carry_the_numbers_of_the_effects(folder: Path, made: list[Path]) -> None:
    content = json.loads((folder / "ablation.json").read_text())
    text = (folder / "ablation.md").read_text()
    for effect in content["effects"]:
        assert effect["n"] == 12
        assert effect["difference_low"] <= effect["difference"] <= effect["difference_high"]
        mine = effect["regret"] - effect["reference_regret"]
        assert effect["difference"] == pytest.approx(mine, abs=1e-6)
        if effect["factor"].startswith("eigen"):
            assert f"{effect['difference']:+.3f} [{effect['difference_low']:+.3f}" in text
    assert {effect["judgement"] for effect in content["effects"]} <= {"lowers", "raises", "leaves"}


def test_an_effect_is_the_paired_difference_of_the_stored_runs(stored: Stored) -> None:
    runs = Runs(stored.suite, stored.collected)
    (factor,) = [f for f in factors(stored.suite) if f.algorithm == "eigen"]
    effect = ablation.effects(factor, runs)[0]
    table = tables.load()
    mean = {}
    for unit in stored.collected:
        if unit.unit.dataset == "cifar10" and unit.unit.row.algorithm == "eigen":
            genotypes = [record.genotype for record in unit.records]
            values = [table.regret("cifar10", genotype) for genotype in genotypes]
            mean[unit.unit.row.label.split("=")[-1]] = np.mean(values)
    assert effect.difference.estimate == pytest.approx(mean["2)"] - mean["100)"])
    assert (effect.level, effect.reference) == ("primary_step = 2", "primary_step = 100")


def test_factors_are_found_in_the_suite() -> None:
    found = factors(
        tiny(
            Entry(algorithm="random_search"),
            Entry(algorithm="eigen", grid={"primary_step": [1, 100]}),
            Entry(algorithm="eg_nas"),
            Entry(algorithm="eg_nas", set={"eta": 0.0}),
            Entry(algorithm="eg_nas", set={"zeta": 0.0}),
            Entry(algorithm="genetic_cnn", grid={"population_size": [5], "q_mutation": [0.1]}),
        )
    )
    assert [factor.algorithm for factor in found] == ["eigen", "eg_nas"]
    step, terms = found
    assert step.levels[step.reference].values == (100,)
    assert [level.text for level in terms.levels] == [
        "L1 and L2",
        "L1 only (eta = 0)",
        "L2 only (zeta = 0)",
    ]
    assert not step.crossed


def test_presets_alone_are_no_ablation() -> None:
    both = [Entry(algorithm="eigen"), Entry(algorithm="eigen", preset="nb201")]
    assert factors(tiny(*both)) == []


def test_equal_runs_show_no_difference() -> None:
    a = np.array([1.0, 2.0, 4.0])
    assert ablation.paired(a, a) == (0.0, 0.0, 0.0)
    low = ablation.paired(a, a + np.array([0.5, 0.6, 0.4]), comparisons=1)
    wide = ablation.paired(a, a + np.array([0.5, 0.6, 0.4]), comparisons=20)
    assert low.high < 0
    assert wide.low <= low.low <= low.high <= wide.high


def test_repeated_generations_are_those_of_the_run(stored: Stored) -> None:
    unit = next(u for u in stored.collected if "primary_step=100" in u.unit.row.label)
    (found,) = ablation_traces.of_runs(unit, 1, stored.folder).generations
    record = unit.records[0]
    assert found[0].members == ((0,) * 6,)  # the poorest individual
    assert found[-1].spent <= record.evaluations
    costs = np.diff([generation.spent for generation in found])
    assert (costs > 2 - 1e-9).all()  # ten children trained to a fifth at the least
    assert (costs < 10 + 1e-9).all()
    best = [generation.best for generation in found]
    assert best == sorted(best)


def test_a_changed_trace_is_refused(stored: Stored) -> None:
    unit = stored.collected[1]
    forged = [dataclasses.replace(unit.records[0], trace_sha256="0" * 64)]
    with pytest.raises(DataError, match="--fresh"):
        ablation_traces.of_runs(ablation_traces.UnitRuns(unit.unit, forged), 1, stored.folder)


@pytest.mark.parametrize(
    ("algorithm", "evaluations", "generations_"),
    [("genetic_cnn", 100, 5), ("genetic_nas", 100, 5), ("eg_nas", 400, 3), ("local_search", 50, 0)],
)
def test_generations_of_each_algorithm(algorithm: str, evaluations: int, generations_: int) -> None:
    entry = Entry(algorithm=algorithm, set={"warmup": 0} if algorithm == "eg_nas" else {})
    chosen = tiny(entry, seeds=1, evaluations=evaluations)
    from nasbench_evo.suite import units

    (unit,) = units(chosen)
    found = ablation_traces.replay(unit, 0).generations
    assert len(found) == generations_
    if found:
        assert found[-1].spent == {"eg_nas": 3 * 131}.get(algorithm, evaluations)


def test_births_are_counted_only_where_the_child_differs(stored: Stored) -> None:
    unit = next(u for u in stored.collected if u.unit.row.algorithm == "genetic_cnn")
    found = ablation_traces.replay(unit.unit, 0).births
    assert {kind for kind, _, _ in found} == {"mutation", "crossover"}
    assert all(0 <= value <= 100 for _, *pair in found for value in pair)


def test_runs_that_end_early_keep_their_last_value() -> None:
    long, short = np.arange(10.0), np.array([5.0, 6.0])
    result = generations.aligned([long] * 9 + [short])
    assert result.shape == (10, 10)
    assert result[-1].tolist() == [5.0, *[6.0] * 9]
    assert generations.aligned([long, short]).shape == (2, 2)


def test_zero_regret_has_a_place_on_the_axis(stored: Stored) -> None:
    best = tables.load().space.parse("333132")
    curve = (Point(1.0, (0,) * 6), Point(9.0, best))
    unit = stored.collected[0]
    perfect = [dataclasses.replace(run, curve=curve, genotype=best) for run in unit.records]
    chosen = stored.suite.model_copy(update={"datasets": ["cifar10"]})
    with style.using("paper"):
        drawing = regret.figure(chosen, [type(unit)(unit.unit, perfect)])
    low, high = drawing.axes[0].get_ylim()
    assert 0 < low < high
    (line,) = drawing.axes[0].get_lines()
    assert np.asarray(line.get_ydata()).min() < low  # it leaves the frame, it is not lost


def test_an_algorithm_has_one_colour_that_differs_from_the_others() -> None:
    for look in style.STYLES:
        with style.using(look):
            colours = [style.colour(name) for name in (*style.COLOURS, "random_search", "own")]
            assert len(set(colours)) == len(colours)
            assert style.background() not in colours


def test_levels_differ_in_grey() -> None:
    for look in style.STYLES:
        with style.using(look):
            grey = [0.3 * r + 0.59 * g + 0.11 * b for r, g, b, _ in style.levels(6)]
            assert (np.diff(grey) > 0.05).all()


def test_settings_stay_as_they_were() -> None:
    import matplotlib as mpl

    before = mpl.rcParams["figure.facecolor"]
    with style.using("dark"):
        assert mpl.rcParams["figure.facecolor"] != before
    assert mpl.rcParams["figure.facecolor"] == before


@pytest.mark.parametrize(
    ("space", "text", "patches"),
    [
        ("nasbench201", "333132", 6),
        ("nasbench201", "000001", 1),
        ("binary_stages", "1-01 0-01-100 0-11-101-0001", 18),
        ("binary_stages", "0-00", 1),
        ("layer_graph", "conv3x3@32(0) conv1x1@64/2(1) pool(1) concat(2,3) global(4)", 12),
    ],
)
def test_an_architecture_has_all_its_edges(space: str, text: str, patches: int) -> None:
    chosen = graphs.space_for(space, text)
    with style.using("paper"):
        drawing = graphs.figure(chosen, chosen.parse(text))
    assert sum(len(axes.patches) for axes in drawing.axes) == patches


def test_a_space_without_drawing_says_so() -> None:
    class Other(spaces.Space):
        name = "other"

    Other.__abstractmethods__ = frozenset()
    with style.using("paper"), pytest.raises(Unsupported, match="layer_graph"):
        graphs.figure(Other(), ())  # type: ignore[abstract]


def test_bad_input_is_explained(tmp_path: Path) -> None:
    for arguments, message in [
        (("figures", tmp_path), "nasbench-evo run SUITE"),
        (("figures", tmp_path, "--format", "gif"), "Unknown figure format 'gif'"),
        (("draw", "333132", "--style", "papr"), "Did you mean 'paper'"),
        (("draw", "999999"), "six operation digits"),
        (("draw", "333132", "--space", "darts"), "Unknown space"),
        (("export", tmp_path), "--latex"),
    ]:
        done = cli(*arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    with pytest.raises(InputError):
        read(tmp_path)


def test_draw_writes_every_format(tmp_path: Path) -> None:
    done = cli("draw", "333132", "--out", tmp_path / "cell", "--format", "png,svg,pdf")
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".pdf", ".png", ".svg"]


def test_a_factor_names_its_files() -> None:
    factor = Factor("eigen", "paper, patience=3", ("primary_step",), (), 0)
    assert factor.key == "eigen_paper_primary_step"
