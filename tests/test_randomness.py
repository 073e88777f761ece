"""Streams: independent by purpose, equal by seed, and blind to how they are drawn from."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nasbench_evo.randomness import stream


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
