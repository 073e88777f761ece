"""Engines by name."""

from __future__ import annotations

import importlib.util
import re

import pytest

from nasbench_evo import engines
from nasbench_evo.errors import InputError, Unsupported


def test_a_wrong_name_has_a_near_miss() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'dask'\? Known: dask, processes, serial"):
        engines.get("task")


def test_a_scheduler_needs_the_engine() -> None:
    with pytest.raises(InputError, match="--scheduler needs --engine dask; got --engine serial"):
        engines.get("serial", "tcp://127.0.0.1:1")


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=re.escape("pip install 'nasbench-evo[dask]'")):
        engines.get("dask")
