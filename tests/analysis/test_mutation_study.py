"""The kept study of bugs in the source: it is of the source that there is, and none got away."""

from __future__ import annotations

import ast
import json

import mutation_study
import pytest
from source_mutants import MUTANTS

KEPT = json.loads((mutation_study.OUT / "mutations.json").read_text())


@pytest.mark.parametrize("name", MUTANTS)
def test_a_bug_can_still_be_put_in(name: str) -> None:
    mutant = MUTANTS[name]
    original = (mutation_study.ROOT / "nasbench_evo" / mutant.file).read_text()
    mutated = mutation_study.source(mutant)
    assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(original))


def test_every_bug_was_run_and_found_by_the_gate_or_the_tests() -> None:
    assert [row["mutant"] for row in KEPT] == list(MUTANTS)
    assert len(KEPT) >= 30
    assert [row["mutant"] for row in KEPT if row["caught by"] == "neither"] == []


def test_bugs_of_searches_are_found_without_their_traces() -> None:
    """Layers B, C and D alone: what is left where a change of behaviour is intended."""
    alone = [row for row in KEPT if row["B"] or row["C"] or row["D"]]
    assert len(alone) / len(KEPT) >= 2 * 11 / 37


def test_the_page_is_of_the_kept_rows() -> None:
    assert (mutation_study.OUT / "mutations.md").read_text() == mutation_study.page(KEPT)
