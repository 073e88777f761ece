"""What an algorithm may ask and what it gets back: the whole conversation, a short closed list.

An algorithm is a generator that yields requests and receives one `Evaluation` per individual, in
request order (nothing for a training request, but what TrainBilevel moved). Neither side
knows the other. Requests and answers are named tuples: immutable, and the cheapest to make of what
Python has. A search may return a genotype of its own, or `Ended`, when it ends by itself or when
`BudgetSpent` is thrown into it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.randomness import Stream
from nasbench_evo.spaces.base import Genotype


class Evaluation(NamedTuple):
    """One answer. There is no test field: a search never sees test data."""

    genotype: Genotype
    valid_accuracy: float  # percent, 0..100
    valid_loss: float | None  # cross-entropy in nats; None where the source has none
    cost_seconds: float  # what this answer cost: simulated or measured seconds
    fraction: float  # of the full training behind the accuracy, in (0, 1]
    source: str  # "table", "training" or "supernet"
    cost: float  # full-training equivalents newly spent; the unit of evaluation budgets
    training: int | None = None  # which training stopped at `fraction` < 1, for `continues`


class Evaluate(NamedTuple):
    """The fitness of each genotype, trained to `fraction` of the full length.

    `continues` names for each genotype the training of the same run that goes on, by what its
    Evaluation said, and pays the difference; None is a new training, also where one of the same
    genotype stopped. `teacher` is what mimicry distils from (EIGEN Eq. 3).
    """

    genotypes: Sequence[Genotype]
    fraction: float = 1.0
    teacher: Any = None
    continues: Sequence[int | None] | None = None  # None: all are new
    whole: bool = False  # shared weights: on all validation images, whatever the settings say
    running: bool = False  # shared weights: running BatchNorm, other images for each individual

    def part(self, where: slice) -> Evaluate:
        """Return the request for some of the genotypes."""
        going_on = self.continues and self.continues[where]
        return self._replace(genotypes=self.genotypes[where], continues=going_on)


class BudgetSpent(Exception):
    """Thrown into a search that asked for more than its budget covers.

    `answers` are those of the request that it cut short. With `more` the share that the algorithm
    keeps (`Algorithm.kept_share`) is there from now on; else no answers come any more, and a search
    with something to say catches this and returns.
    """

    def __init__(self, answers: Sequence[Evaluation] = (), *, more: bool = False) -> None:
        super().__init__("the budget is spent")
        self.answers = list(answers)
        self.more = more


class Ended(NamedTuple):
    """What a search may return: its own result, if it has one, and what its record shall say."""

    genotype: Genotype | None
    notes: Mapping[str, str]


class TrainPaths(NamedTuple):
    """One epoch on shared weights; `sample(rng)` draws a genotype for every mini-batch."""

    sample: Callable[[Stream], Genotype]


class TrainMixture(NamedTuple):
    """One epoch on shared weights with the operations mixed by softmax(alpha) of `alpha_shape`.

    `edges` are logits that weigh the edges into each node (PC-DARTS), of shape `edge_shape`.
    """

    alpha: NDArray[np.float64]
    edges: NDArray[np.float64] | None = None


class TrainBilevel(NamedTuple):
    """One epoch on shared weights and on alpha, turn by turn (DARTS first order); gives the alpha.

    Before each step of the weights alpha takes a step of Adam on a validation batch. So do `edges`
    where they are weighed: then the answer is (alpha, edges).
    """

    alpha: NDArray[np.float64]
    learning_rate: float
    weight_decay: float
    edges: NDArray[np.float64] | None = None


class EvaluateMixtures(NamedTuple):
    """Validation accuracy and loss of each relaxation; `alphas` is `[n, *alpha_shape]`.

    `edges` `[n, *edge_shape]` weigh the edges into each node.
    """

    alphas: NDArray[np.float64]
    edges: NDArray[np.float64] | None = None
    same_images: bool = False  # shared weights: on the images of the request before

    def discretized(self, space: Any) -> list[Genotype]:
        """Return the genotype of each relaxation."""
        found: list[Genotype] = (
            space.discretize(self.alphas)
            if self.edges is None
            else space.discretize(self.alphas, self.edges)
        )
        return found

    def part(self, where: slice | list[int]) -> EvaluateMixtures:
        """Return the request for some of the relaxations."""
        edges = None if self.edges is None else self.edges[where]
        return self._replace(alphas=self.alphas[where], edges=edges)


class MeasurePaths(NamedTuple):
    """Accuracy of some genotypes with the shared weights as they are, for what a `Note` says.

    It is no part of the search: neither history nor budget of evaluations has it, its seconds go
    to the next individuals, and what is measured later does not depend on it. Shared weights only.
    """

    genotypes: Sequence[Genotype]


class Note(NamedTuple):
    """What a search says of itself, once an epoch or a generation: `values` are plain JSON.

    It costs nothing and no evaluator sees it. The runner collects the notes of a search in order,
    in `Result.notes["epochs"]`, and sends nothing back.
    """

    values: Mapping[str, Any]


Training: TypeAlias = TrainPaths | TrainMixture | TrainBilevel
Request: TypeAlias = Evaluate | Training | EvaluateMixtures | MeasurePaths
Search: TypeAlias = Generator[Request | Note, Any, Any]
