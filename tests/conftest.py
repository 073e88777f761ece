"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from nasbench_evo import tables
from nasbench_evo.evaluators.lookup import LookupEvaluator

# Seconds belong to the benchmarks: a busy machine must not fail a property.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

NO_TORCH = importlib.util.find_spec("torch") is None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files whose every test is marked `torch` where it is missing: they import it."""
    if not NO_TORCH or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if re.search(r"^pytestmark = .*mark\.torch", text, re.MULTILINE) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip single tests that are marked `torch` where it is missing."""
    for item in items:
        if NO_TORCH and item.get_closest_marker("torch"):
            item.add_marker(pytest.mark.skip(reason="needs the extra [train]"))


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
