"""The generations of a finished run, as its algorithm reads them from requests and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from nasbench_evo.requests import Evaluate, Evaluation, Request
from nasbench_evo.spaces.base import Genotype

Individual = TypeVar("Individual")  # a genotype here; its number in the table in figures
Exchange: TypeAlias = tuple[Request, list[Evaluation]]  # a request and its answers
Birth: TypeAlias = tuple[str, tuple[Genotype, ...], Genotype]  # kind, parents, changed child


@dataclass(frozen=True)
class Generational:
    """What figures by generation say of an algorithm."""

    shown: str  # what stands for a generation, e.g. "best of the population"
    averaged: bool = False  # that is an average over the members, else the champion
    name: str = "generation"
    sized_by: tuple[str, ...] = ("population_size",)  # parameters that change what one costs


@dataclass(frozen=True)
class PaperFigures:
    """What an ablation of a hyper-parameter shows as its paper does; each says where, "" nowhere.

    A source is e.g. "EIGEN, Fig. 4".
    """

    succession: str = ""  # one run by generation, parameters of all its individuals below
    saved_cost: str = ""  # what a generation costs at each level, as a sentence
    population: str = ""  # average, best and worst individual of each level by generation
    statistics: str = ""  # table of the generations of one run
    lineage: str = ""  # children against their parents
    cells: str = ""  # what two independent runs found


@dataclass(frozen=True)
class Generation(Generic[Individual]):
    """One generation of a run.

    `champion` is what stands for it; `members` are all individuals evaluated in it; `fitness` is
    what the search saw of them, percent; `spent` the full-training equivalents up to and including
    it; `best` the champion's fitness as the search saw it.
    """

    champion: Individual
    members: tuple[Individual, ...]
    fitness: tuple[float, ...]
    spent: float
    best: float


def generation(
    champion: Evaluation, members: Sequence[Evaluation], spent: float
) -> Generation[Genotype]:
    """Return a generation of evaluations."""
    return Generation(
        champion=champion.genotype,
        members=tuple(member.genotype for member in members),
        fitness=tuple(member.valid_accuracy for member in members),
        spent=spent,
        best=champion.valid_accuracy,
    )


def one_a_request(exchanges: Sequence[Exchange]) -> list[Generation[Genotype]]:
    """Take every request with answers for a generation, and its best individual for champion.

    Those that measure again what was kept are none.
    """
    found, spent = [], 0.0
    for request, answers in exchanges:
        if answers and not (isinstance(request, Evaluate) and request.whole):  # trained before
            spent += sum(answer.cost for answer in answers)
            champion = max(answers, key=lambda answer: answer.valid_accuracy)
            found.append(generation(champion, answers, spent))
    return found
