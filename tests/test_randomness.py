"""Streams: independent by purpose, equal by seed, and blind to how they are drawn from."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nasbench_evo import algorithms, spaces
from nasbench_evo.algorithms import operators
from nasbench_evo.errors import InputError
from nasbench_evo.randomness import seed_of, stream


def test_a_stream_depends_on_seed_purpose_and_index() -> None:
    drawn = {
        key: stream(*key).random() for key in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    }
    assert len(set(drawn.values())) == 4
    assert stream(0, "a", 0).random() == drawn[0, "a", 0]


def test_nothing_touches_the_global_state() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # it is what must not change
    rng = stream(0, "test")
    rng.random(), rng.generator.random(5), rng.randoms(3)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_slices_and_single_draws_take_the_same_values() -> None:
    single, sliced = stream(0, "x"), stream(0, "x")
    singles = [single.random() for _ in range(12)]
    slices = [value for _ in range(3) for value in reversed(sliced.randoms(4))]
    assert singles == slices


def test_slices_longer_than_a_block() -> None:
    values = stream(0, "x").randoms(2000)
    assert len(set(values)) == 2000


def test_integer_draws_are_uniform() -> None:
    rng = stream(0, "test")
    counts = Counter(rng.below(5) for _ in range(5000))
    assert sorted(counts) == [0, 1, 2, 3, 4]
    assert all(count == pytest.approx(1000, abs=130) for count in counts.values())
    others = Counter(rng.other(2, 5) for _ in range(4000))
    assert sorted(others) == [0, 1, 3, 4]
    assert all(count == pytest.approx(1000, abs=130) for count in others.values())


def test_shuffle_permutes_uniformly() -> None:
    rng, counts = stream(0, "test"), Counter()
    for _ in range(6000):
        items = [0, 1, 2]
        rng.shuffle(items)
        counts[tuple(items)] += 1
    assert len(counts) == 6
    assert all(count == pytest.approx(1000, abs=130) for count in counts.values())


def test_a_stream_apart_takes_nothing_from_its_own() -> None:
    plain, other = stream(3, "algorithm"), stream(3, "algorithm")
    apart = other.apart()
    assert [plain.random() for _ in range(600)] == [other.random() for _ in range(600)]
    again = stream(3, "algorithm").apart()
    drawn = [apart.random() for _ in range(5)]
    assert drawn == [again.random() for _ in range(5)]
    assert drawn != [stream(3, "algorithm").random() for _ in range(5)]


def test_a_numpy_generator_is_taken_where_a_stream_is() -> None:
    space, rng = spaces.get("nasbench201"), np.random.default_rng(3)
    cells = space.sample(rng, 4)
    assert cells == space.sample(np.random.default_rng(3), 4)
    assert space.mutate(cells[0], rng) != cells[0]
    space.mutate_steps(cells[0], 40, rng)
    graphs = spaces.get("layer_graph")
    graph = graphs.mutate(graphs.sample(rng, 1)[0], rng)
    graphs.duplications(graph, rng, 3)
    operators.flip_genes(cells[0], space.cardinalities, 0.5, rng)
    operators.reverse_genes(cells[0], space.cardinalities, 2, rng)
    operators.step_genes(cells[0], space.cardinalities, 0.5, rng)
    operators.roulette(cells, [0, 0, 0, 0], 2, rng)
    for cls in algorithms.ALGORITHMS.values():
        if cls.name not in ("darts", "random_search_ws"):
            request = next(cls().search(space, np.random.default_rng(0)))
            again = next(cls().search(space, np.random.default_rng(0)))
            assert str(request).partition(" at ")[0] == str(again).partition(" at ")[0]
    with pytest.raises(InputError, match="default_rng"):
        space.sample(np.random.RandomState(0), 2)
    assert seed_of(np.random.default_rng(1)) == seed_of(np.random.default_rng(1))
    for wrong in (-1, 1.5, True, "0", None):
        with pytest.raises(InputError, match="0 or above"):
            seed_of(wrong)
