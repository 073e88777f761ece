"""Suite files: what they mean, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import loaded

from nasbench_evo import suite as suites
from nasbench_evo.errors import InputError, Unsupported

GOOD = """
name = "tiny"
datasets = ["cifar10"]
seeds = 3
evaluations = 20
checkpoints = [10, 20]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "genetic_cnn"
set = { population_size = 5 }
[rows.grid]
q_mutation = [0.1, 0.2]
p_mutation = [1.0]
"""


def test_grids_make_a_row_of_each_combination(tmp_path: Path) -> None:
    rows = suites.rows(loaded(tmp_path, GOOD))
    assert [row.label for row in rows] == [
        "random_search (paper)",
        "genetic_cnn (paper, population_size=5, q_mutation=0.1, p_mutation=1.0)",
        "genetic_cnn (paper, population_size=5, q_mutation=0.2, p_mutation=1.0)",
    ]
    assert rows[2].configured.hyperparameters()["q_mutation"] == 0.2


def test_lists_in_rows_have_short_names(tmp_path: Path) -> None:
    starts = ["333333", "123412"]
    more = f"population_size = 5, initial = 'given', given = {starts}"
    text = GOOD.replace("population_size = 5", more)
    made = loaded(tmp_path, text)
    row = suites.rows(made)[1]
    assert "given=333333; 123412" in row.label
    assert row.configured.hyperparameters()["given"] == tuple(starts)
    assert suites.identity(made).count('"given":["333333","123412"]') == 1
    assert suites.change_text(("given", ("1" * 30, "2" * 30))).startswith("given=" + "1" * 20)
    assert len(suites.change_text(("given", ("1" * 30, "2" * 30)))) < 60
    assert hash(row) == hash(suites.rows(made)[1])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = 3", "sedes = 3", "Did you mean 'seeds'"),
        ("seeds = 3", "seeds = 0", "seeds.*greater than or equal to 1; got 0"),
        ("seeds = 3", "seeds = true", "seeds"),
        ("seeds = 3", 'seeds = "3"', "seeds"),
        ("seeds = 3", "", "seeds.*required"),
        ("[10, 20]", "[20, 10]", r"tiny\.toml: checkpoints must rise .*; got \[20, 10\]\.$"),
        ("[10, 20]", "[10, 21]", "checkpoints must rise within 1..20"),
        ('"cifar10"', '"cifar11"', "Did you mean 'cifar10'"),
        ("random_search", "random_serch", "Did you mean 'random_search'"),
        ("population_size", "populaton_size", "Did you mean 'population_size'"),
        ('"random_search"', '"random_search"\nset = { a = 1 }', r"'a'\. Known: none\."),
        ("population_size = 5", "population_size = 0", "at least 1; got 0"),
        ("population_size = 5", "population_size = 5.5", "must be int"),
        ("[0.1, 0.2]", "[0.1, 0.1]", "twice"),
        ("[0.1, 0.2]", "[0.1, 2]", "between 0 and 1"),
        ("[[rows]]", "[[row]]", "Did you mean 'rows'"),
        ('algorithm = "random_search"', 'algoritm = "random_search"', "Did you mean 'algorithm'"),
        ('name = "tiny"', 'name = "../tiny"', "name: expected letters, digits"),
        ("name", "= name", "not a TOML file"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=message):
        loaded(tmp_path, GOOD.replace(old, new, 1))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        suites.load(tmp_path / "nowhere.toml")


def test_bundled_suites_load_and_are_found_by_name() -> None:
    for name in ("nb201", "nb201_presets"):
        assert suites.load(suites.find(name)).name == name
    with pytest.raises(InputError, match="Did you mean 'nb201'"):
        suites.find("nb20")
    with pytest.raises(InputError, match="Unknown suite 'published'"):
        suites.find("published")


def test_the_preset_study_contains_the_presets() -> None:
    """A preset called nb201 is a row of the study that chose it."""
    from nasbench_evo.algorithms import ALGORITHMS

    studied = [row.configured for row in suites.rows(suites.load(suites.find("nb201_presets")))]
    chosen = [cls for cls in ALGORITHMS.values() if "nb201" in cls.presets]
    assert len(chosen) == 4
    for cls in chosen:
        assert cls.configure("nb201") in studied


def test_unit_keys_depend_on_what_is_asked(tmp_path: Path) -> None:
    def keys(text: str) -> list[str]:
        return [unit.key() for unit in suites.units(loaded(tmp_path, text))]

    base = keys(GOOD)
    assert len(set(base)) == 3
    assert keys(GOOD.replace("seeds = 3", "seeds = 9")) == base
    assert keys(GOOD.replace('"tiny"', '"other"')) == base
    assert not set(keys(GOOD.replace("evaluations = 20", "evaluations = 21"))) & set(base)
    assert not set(keys(GOOD.replace("cifar10", "cifar100"))) & set(base)
    assert keys(GOOD.replace("population_size = 5", "population_size = 6"))[0] == base[0]
    assert keys(GOOD.replace("population_size = 5", "population_size = 6"))[1] != base[1]


def test_without_checkpoints_results_are_taken_at_the_end(tmp_path: Path) -> None:
    assert loaded(tmp_path, GOOD.replace("checkpoints = [10, 20]\n", "")).marks == [20]


@pytest.mark.parametrize(
    "row", ['algorithm = "genetic_nas"\nset = { random_paths = 5 }', 'algorithm = "darts"']
)
def test_what_needs_shared_weights_is_refused_before_anything_runs(
    tmp_path: Path, row: str
) -> None:
    with pytest.raises(Unsupported, match="shared weights only"):
        loaded(tmp_path, f"{GOOD}\n[[rows]]\n{row}\n")
