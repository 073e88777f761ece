"""Other libraries' optimisers behind our generator: `optuna:TPESampler`, `nevergrad:DE`, ...

Each library has a file, which imports the library when a search begins (nevergrad alone also when
one of its names is looked up). They come with the extra `rivals`.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

from nasbench_evo.algorithms.rivals.bridge import Optimiser, Rival
from nasbench_evo.algorithms.rivals.on_nevergrad import Nevergrad
from nasbench_evo.algorithms.rivals.on_optuna import Optuna
from nasbench_evo.algorithms.rivals.on_pymoo import Pymoo
from nasbench_evo.errors import Unsupported

LIBRARIES: dict[str, type[Rival]] = {cls.library: cls for cls in (Optuna, Nevergrad, Pymoo)}
# Those that are known without an import; nevergrad's registry has hundreds more.
NAMES = tuple(f"{library}:{one}" for library, cls in LIBRARIES.items() for one in cls.listed)


def is_rival(name: str) -> bool:
    """Return whether the part before the colon is a library that has a bridge."""
    return name.partition(":")[0] in LIBRARIES


def is_installed(name: str) -> bool:
    """Return whether the library of a rival is here, without importing it."""
    return importlib.util.find_spec(name.partition(":")[0]) is not None


@cache
def get(name: str) -> type[Rival]:
    """Return the algorithm of `library:optimiser`, one class a name.

    Raises Unsupported with the pip command where the library is missing, InputError with near
    misses where it has no such optimiser.
    """
    library, _, optimiser = name.partition(":")
    base = LIBRARIES[library]
    if not is_installed(name):
        raise Unsupported(
            f"{name!a:.80} needs {library}, which is not installed: "
            "pip install 'nasbench-evo[rivals]'."
        )
    base.check_optimiser(optimiser)
    content: dict[str, Any] = {"__module__": base.__module__, "name": name, "optimiser": optimiser}
    content |= {"__doc__": base.__doc__, "paper": f"{library}'s {optimiser}, as its manual sets it"}
    return type(base.__name__, (base,), content)


__all__ = ["LIBRARIES", "NAMES", "Optimiser", "Rival", "get", "is_installed", "is_rival"]
