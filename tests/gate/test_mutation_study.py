"""The study of bugs in the source is of the source that there is."""

from __future__ import annotations

import ast

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
