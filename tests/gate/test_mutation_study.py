"""The study of bugs in the source is of the source that there is."""

from __future__ import annotations

import ast
import json
from typing import Any

import mutation_study
import pytest
from source_mutants import MUTANTS
from support import parsed


@pytest.mark.parametrize("name", MUTANTS)
def test_a_bug_can_still_be_put_in(name: str) -> None:
    mutant = MUTANTS[name]
    original = (mutation_study.ROOT / "nasbench_evo" / mutant.file).read_text()
    mutated = mutation_study.source(mutant)
    assert ast.dump(parsed(mutated)) != ast.dump(parsed(original))


def test_the_tests_that_are_run_are_there() -> None:
    for path in (*mutation_study.OTHERS, *mutation_study.IGNORED, *mutation_study.NEEDED):
        assert (mutation_study.ROOT / path).exists(), path
    assert all(mutation_study.mirrors(mutant) for mutant in MUTANTS.values())


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The kept rows."""
    file = mutation_study.OUT / "mutations.json"
    if not file.exists():
        pytest.skip("the study was not run to its end yet")
    kept: list[dict[str, Any]] = json.loads(file.read_text())
    return kept


def test_every_bug_that_was_run_was_found(rows: list[dict[str, Any]]) -> None:
    assert {row["caught by"] for row in rows} <= {"gate", "tests", "both"}
    described = {name: (mutant.room, mutant.bug) for name, mutant in MUTANTS.items()}
    assert {row["mutant"]: (row["room"], row["bug"]) for row in rows}.items() <= described.items()


def test_the_gate_without_traces_finds_twice_what_the_earlier_one_did(
    rows: list[dict[str, Any]],
) -> None:
    found = sum(row["B"] or row["C"] or row["D"] for row in rows)
    assert found / len(rows) >= 2 * 11 / 37


def test_the_page_is_of_the_kept_rows(rows: list[dict[str, Any]]) -> None:
    assert (mutation_study.OUT / "mutations.md").read_text() == mutation_study.page(rows)
