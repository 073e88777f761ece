"""Spaces of any choices: spelling, steps of ordered genes, what makes no space."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_evo.errors import InputError
from nasbench_evo.randomness import stream
from nasbench_evo.spaces import choices
from nasbench_evo.spaces.choices import Choices, Gene

GENES = (Gene("act", ("relu", "tanh", "gelu")), Gene("units", (16, 32, 64, 128), ordered=True))
SPACE = Choices("own", GENES)


def test_every_genotype_is_printed_and_read_and_has_its_row() -> None:
    every = list(itertools.product(range(3), range(4)))
    assert [SPACE.from_index(i) for i in range(SPACE.size)] == every
    for i, genotype in enumerate(every):
        assert SPACE.index(genotype) == i
        assert SPACE.parse(SPACE.format(genotype)) == genotype
    assert SPACE.format((1, 2)) == "act=tanh,units=64"
    assert SPACE.parse(" units = 64.0, act=tanh") == (1, 2)


def test_ordered_genes_take_steps() -> None:
    """By hand: from (0, 1) the other two activations, or 16 or 64 units."""
    assert SPACE.neighbours((0, 1)) == [(1, 1), (2, 1), (0, 0), (0, 2)]
    assert SPACE.neighbours((0, 0)) == [(1, 0), (2, 0), (0, 1)]
    rng = stream(0, "test")
    for start in ((0, 0), (0, 1), (2, 3)):
        drawn = [SPACE.mutate(start, rng) for _ in range(800)]
        assert set(drawn) == set(SPACE.neighbours(start))
        assert sum(other[0] != start[0] for other in drawn) == pytest.approx(400, abs=80)
    far = [SPACE.mutate_steps((0, 0), 12, rng) for _ in range(300)]
    assert {genotype[1] for genotype in far} == {0, 1, 2, 3}


def test_relaxations_need_equal_choices() -> None:
    assert not hasattr(SPACE, "alpha_shape")
    even = Choices("even", [Gene("a", ("x", "y", "z")), Gene("b", (1, 2, 3))])
    assert even.alpha_shape == (2, 3)
    alphas = np.zeros((1, 2, 3))
    alphas[0, [0, 1], [2, 1]] = 1
    assert even.discretize(alphas) == [(2, 1)]


def test_content_is_the_space_again() -> None:
    again = choices.of_content(SPACE.to_json(), "x")
    assert again == SPACE
    assert hash(again) == hash(SPACE)
    assert [(b.start, b.stop) for b in Choices("b", GENES, [2]).blocks] == [(0, 2)]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"genes": []}, "the key 'name' is missing"),
    ({"name": "x", "genes": []}, "needs genes of different names"),
    ({"name": "x", "genes": [{"name": "a", "choices": [1]}]}, "a needs 2 to 255 choices"),
    ({"name": "x", "genes": [{"name": "a", "choices": [1, 1.0]}]}, "different texts or numbers"),
    ({"name": "x", "genes": [{"name": "a", "choices": ["a,b", "c"]}]}, "without , or ="),
    ({"name": "x", "genes": [{"name": "a", "choice": [1, 2]}]}, "Did you mean 'choices'"),
    ({"name": "x", "gene": []}, "Did you mean 'genes'"),
    ({"name": "x", "genes": 5}, "expected name and"),
    ({"name": "x", "genes": [{"name": "a", "choices": [1, 2]}], "blocks": [2]}, "1 in all; got"),
    (
        {"name": "x", "genes": [{"name": f"g{i}", "choices": list(range(100))} for i in range(9)]},
        "genotypes; 10000000 are the most",
    ),
]


@pytest.mark.parametrize(("content", "match"), BAD)
def test_what_makes_no_space_is_refused(content: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        choices.of_content(content, "space.toml")
    assert str(caught.value).startswith("space.toml: ")


@pytest.mark.parametrize("text", ["", "act=relu", "act=relu,act=tanh", "act=relu,units=16,x=1"])
def test_other_genes_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"Not a own genotype.*Expected 'act=relu,units=16'"):
        SPACE.parse(text)
    with pytest.raises(InputError, match=r"Unknown units '48'.*Known: 128, 16, 32, 64"):
        SPACE.parse("act=relu,units=48")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        choices.read(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_text("name = ")
    with pytest.raises(InputError, match="no TOML file"):
        choices.read(tmp_path / "x.toml")
