"""Which NAS-Bench-201 cells compute the same: a text per cell, and the classes that it makes.

The benchmark counts 6,466 topologies that differ (Dong and Yang 2020, Section 2). Its rule: a node
is the sum of its terms in any order, `skip_connect` hands its source on as it is, and `none`, or
any operation on a node whose only term is zero, is a zero term. The rule is careful: it keeps zero
terms, misses a node whose several terms are all zero, and sorts a handed-on sum as one term, so it
never joins two cells that differ and leaves apart some that do not. (With every zero dropped and
every sum flattened 4,930 would be left; the 6,466 are kept because the literature counts them.)

Isomorphic networks draw their initial weights in another order: their trials differ by noise only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS, SIZE, Cell, NASBench201

_ZERO = "#"
_NONE = OPERATIONS.index("none")
_SKIP = OPERATIONS.index("skip_connect")


def canonical(genotype: Cell) -> str:
    """Return a text; cells that share it are isomorphic (6,466 texts in all).

    `x` is the cell's input, `(x)nor_conv_3x3` an operation on it, `+` a sum, `#` a zero term.
    """
    nodes = ["x", "", "", ""]
    for target in (1, 2, 3):
        terms = [
            _term(gene, nodes[source])
            for gene, (source, end) in zip(genotype, EDGES, strict=True)
            if end == target
        ]
        nodes[target] = "+".join(sorted(terms))
    return nodes[-1]


def _term(operation: int, source: str) -> str:
    if operation == _NONE or source == _ZERO:
        return _ZERO
    return source if operation == _SKIP else f"({source}){OPERATIONS[operation]}"


def distinct(indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the positions of the cells that compute something else than all before them."""
    found = classes()[np.asarray(indices, np.intp)]
    return np.sort(np.unique(found, return_index=True)[1])


@cache
def classes() -> NDArray[np.int64]:
    """Return the class of every cell, [15625] in index order; numbered by first appearance."""
    space = NASBench201()
    numbers: dict[str, int] = {}
    texts = (canonical(space.from_index(index)) for index in range(SIZE))
    found = [numbers.setdefault(text, len(numbers)) for text in texts]
    result = np.array(found, dtype=np.int64)
    result.flags.writeable = False
    return result
