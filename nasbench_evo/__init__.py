"""Evolutionary neural architecture search: run it, compare it, trust it.

What is named here is imported when it is first used, so that the command line starts fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_evo.analysis.rank_correlation import rank_correlation as rank_correlation
    from nasbench_evo.api import Comparison as Comparison
    from nasbench_evo.api import Result as Result
    from nasbench_evo.api import compare as compare
    from nasbench_evo.api import search as search
    from nasbench_evo.evaluators.objective import Objective as Objective
    from nasbench_evo.results.answer import Answer as Answer
    from nasbench_evo.runner import AskTell as AskTell
    from nasbench_evo.runner import Budget as Budget
    from nasbench_evo.tables import load as load_table  # noqa: F401 (named in _HOME)

__version__ = "0.1.0"

_HOME = {  # public name -> (module, name there)
    "Answer": ("results.answer", "Answer"),
    "AskTell": ("runner", "AskTell"),
    "Budget": ("runner", "Budget"),
    "Comparison": ("api", "Comparison"),
    "compare": ("api", "compare"),
    "Objective": ("evaluators.objective", "Objective"),
    "Result": ("api", "Result"),
    "load_table": ("tables", "load"),
    "rank_correlation": ("analysis.rank_correlation", "rank_correlation"),
    "search": ("api", "search"),
}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own = _HOME[name]
    return getattr(importlib.import_module(f"nasbench_evo.{module}"), own)


def __dir__() -> list[str]:
    return __all__
