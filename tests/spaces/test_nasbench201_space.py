"""The NAS-Bench-201 space: spelling, indexing, variation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_evo import spaces
from nasbench_evo.errors import InputError
from nasbench_evo.randomness import stream
from nasbench_evo.spaces import spellings
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS, SIZE, NASBench201

SPACE = NASBench201()
BEST = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)
genotypes = st.tuples(*[st.integers(0, 4)] * 6)


def test_the_published_string_by_hand() -> None:
    assert SPACE.parse(BEST) == (3, 3, 3, 1, 3, 2)
    assert SPACE.format((3, 3, 3, 1, 3, 2)) == BEST
    assert EDGES[3] == (0, 3)
    assert OPERATIONS[1] == "skip_connect"


@given(genotypes)
def test_every_spelling_gives_the_cell_back(genotype: tuple[int, ...]) -> None:
    digits = "".join(map(str, genotype))
    index = SPACE.index(genotype)  # type: ignore[arg-type]
    assert int(digits, 5) == index
    official = f"#{spellings.official_index()[index]}"
    for spelling in (SPACE.format(genotype), digits, official, f" {digits}\n"):  # type: ignore[arg-type]
        assert SPACE.parse(spelling) == genotype
    assert SPACE.from_index(index) == genotype


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "33310",
        "3331030",
        "333105",
        "#15625",
        "99999",
        "-1",
        "|none~0|",
        BEST.replace("~1", "~0"),
        BEST.replace("skip_connect", "skip"),
        "３３３１０３",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~1|",
    ],
)
def test_malformed_cells_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        SPACE.parse(text)


def test_the_error_teaches_the_accepted_forms() -> None:
    with pytest.raises(InputError, match=r"published string.*six operation digits.*official index"):
        SPACE.parse("resnet50")
    with pytest.raises(InputError, match="Unknown operation 'conv'"):
        SPACE.parse("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|")


@given(genotypes, st.integers(0, 2**32))
def test_mutation_changes_exactly_one_gene(genotype: tuple[int, ...], seed: int) -> None:
    mutated = SPACE.mutate(genotype, stream(seed, "test"))
    assert mutated in SPACE.neighbours(genotype)
    assert SPACE.mutate_steps(genotype, 1, stream(seed, "test")) == mutated
    assert SPACE.mutate_steps(genotype, 0, stream(seed, "test")) == genotype


def test_mutation_reaches_every_neighbour_equally() -> None:
    rng, start = stream(0, "test"), (0, 1, 2, 3, 4, 0)
    neighbours = SPACE.neighbours(start)
    assert len(set(neighbours)) == 24
    drawn = [SPACE.mutate(start, rng) for _ in range(24 * 200)]
    for neighbour in neighbours:
        assert drawn.count(neighbour) == pytest.approx(200, abs=75)


def test_sampling_is_uniform_over_operations() -> None:
    sample = np.array(SPACE.sample(stream(0, "test"), 5000))
    for edge in range(6):
        assert np.bincount(sample[:, edge], minlength=5) == pytest.approx(np.full(5, 1000), abs=130)


def test_discretisation_takes_the_argmax_of_each_edge() -> None:
    alpha = np.zeros((1, *SPACE.alpha_shape))
    alpha[0, [0, 2], [4, 1]] = 1
    assert SPACE.discretize(alpha) == [(4, 0, 1, 0, 0, 0)]


def test_validation() -> None:
    assert SPACE.validate([0, 1, 2, 3, 4, 0]) == (0, 1, 2, 3, 4, 0)
    for wrong in ([0] * 5, [0, 0, 0, 0, 0, 5], [0, 0, 0, 0, 0, True], "000000", 7, None):
        with pytest.raises(InputError, match="6 integers"):
            SPACE.validate(wrong)


def test_encoding_is_one_byte_a_gene() -> None:
    assert SPACE.encode([(0, 1, 2, 3, 4, 0), (1,) * 6]) == b"\0\1\2\3\4\0\1\1\1\1\1\1"


def test_drawing_names_every_used_operation() -> None:
    drawing = SPACE.draw((3, 0, 0, 1, 0, 2))
    assert "node 1: nor_conv_3x3(node 0)" in drawing
    assert "node 2: zero" in drawing
    assert "node 3: skip_connect(node 0) + nor_conv_1x1(node 2)  = cell output" in drawing


def test_indices_cover_the_space() -> None:
    assert SPACE.from_index(0) == (0,) * 6
    assert SPACE.from_index(SIZE - 1) == (4,) * 6
    with pytest.raises(InputError, match=r"0\.\.15624"):
        SPACE.from_index(SIZE)


def test_unknown_spaces_name_the_near_miss() -> None:
    with pytest.raises(InputError, match="nasbench201"):
        spaces.get("nasbench101")
