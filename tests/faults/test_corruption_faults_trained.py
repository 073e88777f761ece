"""A changed byte of a checkpoint: an error, or exactly the same weights."""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.test_corruption_faults import FLIPS, QUICK, outcomes, refused

from nasbench_evo.errors import DataError
from nasbench_evo.training import checkpoint

pytestmark = pytest.mark.torch


def equal(a: Any, b: Any) -> bool:
    """Whether two states are the same, to the last bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    return type(a) is type(b) and bool(a == b)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    state = {
        "model": {
            "weight": torch.rand(20, 20, generator=generator),
            "bias": torch.rand(20, generator=generator),
        },
        "optimizer": {"step": 7, "momentum": torch.rand(20, 20, generator=generator)},
        "random": generator.get_state()[:64].clone(),
        "identity": "a recipe",
    }
    checkpoint.save(state, tmp_path / "c.pt")
    return tmp_path / "c.pt", state


def find(found: Counter[str]) -> None:
    assert refused(found) > 0.95  # but for the words before the SHA-256
    assert found["cut: DataError"] > 0


@pytest.mark.parametrize("flips", [QUICK, pytest.param(2 * FLIPS, marks=pytest.mark.slow)])
def test_a_checkpoint(saved: tuple[Path, dict[str, Any]], flips: int) -> None:
    path, state = saved
    whole = {"format": checkpoint.FORMAT, **state}

    def read() -> None:
        assert equal(checkpoint.load(path), whole)

    find(outcomes(path, read, flips=flips, cuts=flips // 10))


def test_a_changed_weight_is_refused_though_torch_takes_it(
    saved: tuple[Path, dict[str, Any]],
) -> None:
    path, state = saved
    content = path.read_bytes()
    at = content.index(state["model"]["weight"].numpy().tobytes()) + 40
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(DataError, match=r"c\.pt is not a readable checkpoint: .* its SHA-256"):
        checkpoint.load(path)


def test_a_checkpoint_of_an_earlier_version(saved: tuple[Path, dict[str, Any]]) -> None:
    path, state = saved
    whole = {"format": checkpoint.FORMAT, **state}
    torch.save(whole, path)
    assert equal(checkpoint.load(path), whole)
    content = path.read_bytes()
    at = content.index(state["model"]["weight"].numpy().tobytes()) + 40
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(DataError, match=r"c\.pt is not a readable checkpoint: .* is altered"):
        checkpoint.load(path)


class Evil:
    """Prints when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run by a pickle",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_pickle_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], legacy: bool
) -> None:
    path = tmp_path / "evil.pt"
    state = {"format": checkpoint.FORMAT, "x": Evil()}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DataError, match=r"evil\.pt"):
        checkpoint.load(path)
    path.write_bytes(pickle.dumps(state, 2))
    with pytest.raises(DataError, match=r"evil\.pt"):
        checkpoint.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(state, 2))
        archive.writestr("archive/version", "3\n")
    with pytest.raises(DataError, match=r"evil\.pt"):
        checkpoint.load(path)
    assert "run by" not in capsys.readouterr().out
