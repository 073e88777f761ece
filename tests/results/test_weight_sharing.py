"""Searches on shared weights beside searches on a table: distances, tests, and the sentence."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo import spaces
from nasbench_evo.analysis.rank_correlation import rank_correlation
from nasbench_evo.analysis.statistics import StatisticsWarning
from nasbench_evo.errors import InputError
from nasbench_evo.randomness import Stream, stream
from nasbench_evo.results import weight_sharing

SPACE = spaces.get("nasbench201")
SERIAL = SPACE.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
SWAPPED = SPACE.parse("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|")
OTHER = (4, 4, 4, 4, 4, 4)

cells = st.tuples(*[st.integers(0, 4)] * 6)


def test_match_by_hand() -> None:
    same = weight_sharing.match(SPACE, SERIAL, SERIAL)
    assert same == {"exact": True, "isomorphic": True, "edit_distance": 0}
    # One convolution and two skips in a row, in another order: two genes differ.
    moved = weight_sharing.match(SPACE, SERIAL, SWAPPED)
    assert moved == {"exact": False, "isomorphic": True, "edit_distance": 2}
    other = weight_sharing.match(SPACE, SERIAL, OTHER)
    assert other == {"exact": False, "isomorphic": False, "edit_distance": 6}


def test_match_in_other_spaces() -> None:
    stages = spaces.get("binary_stages")
    a = (0,) * len(stages.cardinalities)
    b = (1, 1, *a[2:])
    found = weight_sharing.match(stages, a, b)
    assert found == {"exact": False, "isomorphic": None, "edit_distance": 2}
    nested = weight_sharing.match(stages, ((0, (1, "x")), (2,)), ((0, (3, "x")), (4,)))
    assert nested["edit_distance"] == 2
    with pytest.raises(InputError, match="as many genes in both; got 2 and 3"):
        weight_sharing.match(stages, (0, 1), (0, 1, 2))


@given(cells, cells, cells)
@settings(max_examples=30)
def test_edit_distance_is_a_metric(a, b, c) -> None:
    def d(x, y) -> int:
        return weight_sharing.match(SPACE, x, y)["edit_distance"]

    assert d(a, b) == d(b, a)
    assert (d(a, b) == 0) == (a == b) == weight_sharing.match(SPACE, a, b)["exact"]
    assert d(a, c) <= d(a, b) + d(b, c)


def test_chance_is_that_of_independent_genes() -> None:
    # Each of the 6 genes differs with probability 4/5; the variance is 6 * 4/5 * 1/5.
    mean, low, high = weight_sharing.chance_distance(SPACE, 100, Stream(0))
    assert mean == pytest.approx(4.8, abs=0.05)
    half = 1.96 * math.sqrt(0.96 / 100)
    assert (low, high) == pytest.approx((4.8 - half, 4.8 + half), abs=0.05)


@pytest.mark.parametrize("n", [4, 9, 30])
def test_wilcoxon_is_scipys(n: int) -> None:
    d = np.random.default_rng(n).normal(0.5, 1, n)
    assert weight_sharing.wilcoxon_signed_rank(d) == scipy.stats.wilcoxon(d).pvalue
    with_zeros = weight_sharing.wilcoxon_signed_rank([*d, 0.0, 0.0])
    assert with_zeros == weight_sharing.wilcoxon_signed_rank(d)


def test_wilcoxon_by_hand_and_at_its_ends() -> None:
    # All five of one sign: both of the 32 sign patterns that are as extreme.
    assert weight_sharing.wilcoxon_signed_rank([1, 2, 3, 4, 5]) == 2 / 32
    assert weight_sharing.wilcoxon_signed_rank([0.0, 0.0]) == 1.0
    with pytest.warns(StatisticsWarning, match="NaN or infinity"):
        assert math.isnan(weight_sharing.wilcoxon_signed_rank([1.0, math.nan]))


def searches(shared, table, x, y) -> weight_sharing.PairedSearches:
    return weight_sharing.paired(SPACE, shared, table, x, y, rng=Stream(3))


def test_paired_searches_by_hand() -> None:
    found = searches(
        [SERIAL, SERIAL, SERIAL, OTHER],
        [SERIAL, SWAPPED, OTHER, SERIAL],
        [90.0, 90.0, 90.0, 80.0],
        [90.0, 91.0, 92.0, 83.0],
    )
    assert found.n == 4
    assert found.exact.estimate == 0.25
    assert found.isomorphic is not None
    assert found.isomorphic.estimate == 0.5
    assert found.edit_distance.estimate == (0 + 2 + 6 + 6) / 4
    assert found.shared.estimate == 87.5
    assert found.table.estimate == 89.0
    assert found.difference.estimate == -1.5
    assert found.p == 2 / 2**3  # three differences of one sign
    assert found.accuracies == ((90.0, 90.0), (90.0, 91.0), (90.0, 92.0), (80.0, 83.0))
    for interval in (found.edit_distance, found.shared, found.table, found.difference):
        assert interval.low < interval.estimate < interval.high
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["difference_low"] == found.difference.low
    assert record["isomorphic"] == 0.5
    assert record["accuracies"][3] == [80.0, 83.0]


def test_the_same_stream_gives_the_same_answer() -> None:
    arguments = ([SERIAL, OTHER], [OTHER, OTHER], [90.0, 80.0], [91.0, 85.0])
    assert searches(*arguments) == searches(*arguments)


@pytest.mark.parametrize(
    ("shared", "table", "x", "y", "match"),
    [
        ([], [], [], [], "got 0 and 0 genotypes"),
        ([SERIAL], [SERIAL, OTHER], [1.0], [1.0], "got 1 and 2 genotypes"),
        ([SERIAL], [OTHER], [1.0, 2.0], [1.0], r"accuracies \(2,\) and \(1,\)"),
        ([SERIAL], [OTHER], [math.nan], [1.0], "NaN"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(shared, table, x, y, match: str) -> None:
    with pytest.raises(InputError, match=match):
        searches(shared, table, x, y)


def spread(n: int, gap: float) -> weight_sharing.PairedSearches:
    """n seeds whose shared accuracy is about `gap` above the table's; far from each other."""
    y = 90 + np.linspace(-1, 1, n)
    wiggle = gap * (1 + 0.2 * np.sin(np.arange(n)))
    return searches([SERIAL] * n, [OTHER] * n, y + wiggle, y)


def test_the_sentence_says_what_the_numbers_support() -> None:
    def said(found: weight_sharing.PairedSearches) -> str:
        return weight_sharing.sentence(found, "GeneticNAS")

    worse, better = said(spread(10, -2.0)), said(spread(10, 2.0))
    assert "the search of the table maximised these very accuracies" in worse
    assert "Shared weights found better genotypes here." in better
    assert worse.startswith("GeneticNAS found with shared weights genotypes of 8")
    assert "n=10, p=0.002 (Wilcoxon signed-rank)" in worse
    assert "the same genotype in 0 of 10 seeds and with isomorphic ones in 0 of 10" in worse
    assert "They differ in 6.0 genes on average [6.0, 6.0], random ones in 4.8" in worse
    assert worse.endswith("further apart than chance.")
    few = said(spread(4, -2.0))
    assert "With 4 unequal seeds p cannot be below 0.12: undecided." in few
    mixed = 90 + np.array([1, -1.1, 0.9, -1, 1.2, -0.8, 1, -1.05])
    undecided = searches([SERIAL] * 8, [SWAPPED] * 8, mixed, np.full(8, 90.0))
    assert "No difference is shown." in said(undecided)
    assert said(undecided).endswith("closer than chance.")


def test_the_sentence_of_equal_searches_and_of_a_single_seed() -> None:
    equal = weight_sharing.sentence(searches([SERIAL] * 7, [SERIAL] * 7, [90.0] * 7, [90.0] * 7))
    assert "a difference of +0.00 points [+0.00, +0.00], n=7, p=1" in equal
    assert "Both are equally accurate in every seed." in equal
    assert "the same genotype in 7 of 7 seeds" in equal
    one = weight_sharing.sentence(searches([SERIAL], [(3, 0, 1, 4, 4, 4)], [90.0], [80.0]))
    assert "and with the table one of 80.00 % (one seed)." in one
    assert one.endswith("not told from chance.")  # 3 of 6 genes


def test_a_curve_is_the_correlation_at_each_epoch_on_the_same_resamples() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(90, 2, 40)
    predicted = truth + rng.normal(0, 1, (3, 40))
    options = {"top": (0.5,), "k": 5, "bootstrap": 100}
    curve = weight_sharing.correlation_curve(predicted, truth, [5, 10, 15], seed=4, **options)
    assert [epoch for epoch, _ in curve] == [5, 10, 15]
    alone = rank_correlation(
        predicted[1],
        truth,
        rng=stream(4, "bootstrap of the rank correlation").generator,
        **options,
    )
    assert curve[1][1].figures == alone.figures
    last = weight_sharing.correlation_curve(predicted[2:], truth, [15], seed=4, **options)
    assert last[0][1].figures == curve[2][1].figures
    with pytest.raises(InputError, match="each of 2 epochs"):
        weight_sharing.correlation_curve(predicted, truth, [1, 2])
