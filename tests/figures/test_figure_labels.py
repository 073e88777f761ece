"""Short labels: what all rows of an algorithm share is left out, nothing else."""

from __future__ import annotations

from support import tiny

from nasbench_evo.results.labels import common_changes, short_labels
from nasbench_evo.suite import Entry, Row, rows


def of(*entries: Entry) -> list[Row]:
    return rows(tiny(*entries))


def test_what_all_rows_of_an_algorithm_share_is_left_out() -> None:
    found = of(
        Entry(algorithm="random_search"),
        Entry(algorithm="eigen", set={"patience": 3}, grid={"primary_step": [2, 100]}),
        Entry(algorithm="eigen", preset="nb201", set={"patience": 3}),
    )
    assert common_changes(found) == {"random_search": [], "eigen": ["patience=3"]}
    assert short_labels(found) == [
        "random_search (paper)",
        "eigen (paper, primary_step=2)",
        "eigen (paper, primary_step=100)",
        "eigen (nb201)",
    ]


def test_labels_of_different_rows_differ() -> None:
    found = of(
        Entry(algorithm="eigen", grid={"patience": [2, 3], "primary_step": [2, 100]}),
        Entry(algorithm="eg_nas", set={"xi": 0.3}),
    )
    labels = short_labels(found)
    assert len(set(labels)) == len(found) == 5
    assert labels[-1] == "eg_nas (paper)"  # its only row: the change is common to all
    assert common_changes(found)["eg_nas"] == ["xi=0.3"]


def test_common_changes_keep_their_order() -> None:
    found = of(
        Entry(algorithm="eigen", set={"patience": 3, "p": 2, "primary_step": 4}),
        Entry(algorithm="eigen", set={"primary_step": 4, "patience": 3, "p": 5}),
    )
    assert common_changes(found) == {"eigen": ["patience=3", "primary_step=4"]}
