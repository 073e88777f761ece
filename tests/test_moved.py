"""Names that the documentation of the last version had, and that have moved since."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("nasbench_evo.cluster", "simulate", "nasbench_evo.replays.simulated_workers"),
        ("nasbench_evo.analysis.wallclock", "wallclock", "nasbench_evo.replays.wallclock"),
        ("nasbench_evo.tables.adapter", "collect", "nasbench_evo.tables.importing.adapter"),
        ("nasbench_evo.tables.collector", "Collector", "nasbench_evo.tables.importing.collector"),
    ],
)
def test_an_old_name_is_the_new_one_with_a_warning(old: str, name: str, new: str) -> None:
    module, moved = importlib.import_module(old), importlib.import_module(new)
    with pytest.warns(DeprecationWarning, match=f"{new} now"):
        assert getattr(module, name) is getattr(moved, name)
    with pytest.raises(AttributeError), pytest.warns(DeprecationWarning, match="now"):
        _ = module.no_such_name
