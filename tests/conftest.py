"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
from hypothesis import settings

from nasbench_evo import tables
from nasbench_evo.evaluators.lookup import LookupEvaluator

# Seconds belong to the benchmarks: a busy machine must not fail a property.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# Without the extra [train] the rooms that need torch are not collected.
if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["networks/*", "training/*", "*test_torch_*"]
    collect_ignore_glob += ["benchmarks/*train*", "benchmarks/*supernet*"]


@pytest.fixture(scope="session")
def table() -> tables.Table:
    """The embedded table."""
    return tables.load()


@pytest.fixture(scope="session")
def cifar10(table: tables.Table) -> LookupEvaluator:
    """The lookup on cifar10."""
    return LookupEvaluator(table, "cifar10")


@pytest.fixture(autouse=True)
def _cuda(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give tests marked `cuda` a GPU: the real one, or an emulation of two."""
    if request.node.get_closest_marker("cuda") is None:
        yield
        return
    import torch
    from support.fake_cuda import fake_cuda

    if torch.cuda.is_available():
        yield
    else:
        with fake_cuda():
            yield
