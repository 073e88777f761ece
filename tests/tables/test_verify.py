"""`table verify`: what it finds in good tables and in doctored ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import official_support as support
import pytest

from nasbench_evo import tables
from nasbench_evo.errors import InputError
from nasbench_evo.spaces import isomorphism
from nasbench_evo.tables import container, embedded, imported, verify
from nasbench_evo.tables.verify import FAILED, NOTE, OK, Check


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))


def found(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name.startswith(name))


def doctored(monkeypatch: pytest.MonkeyPatch, table: tables.Table, **changes: Any) -> list[Check]:
    changed = replace(table, **changes)
    monkeypatch.setattr(tables, "load", lambda name, epochs=None: changed)
    return verify.verify()


def test_the_embedded_table() -> None:
    checks = verify.verify()
    assert not [check for check in checks if check.status == FAILED]
    assert found(checks, "content").status == OK
    for dataset in embedded.SOURCES:
        assert found(checks, f"optimum ({dataset}").status == OK
        assert found(checks, f"cells ({dataset}").text.startswith("15625 of 15625 cells")
    sizes = found(checks, "model sizes")
    assert (sizes.status, sizes.text[:9]) == (NOTE, "204 cells")
    # Nearly all of the topologies that several cells share agree within their trials.
    worse = [int(c.text.split()[0]) for c in checks if c.name.startswith("isomorphism")]
    assert len(worse) == 3
    assert max(worse) < 10


def test_a_wrong_optimum_fails(monkeypatch: pytest.MonkeyPatch, table: tables.Table) -> None:
    correct = table.correct.copy()
    correct[0, 7, 0] = 25_000
    correct[0, 7, 1:] = 24_900
    checks = doctored(monkeypatch, table, correct=correct)
    assert found(checks, "optimum (cifar10,").status == FAILED
    assert found(checks, "optimum (cifar100,").status == OK


def test_an_isomorphic_cell_out_of_line_is_named(
    monkeypatch: pytest.MonkeyPatch, table: tables.Table
) -> None:
    """Shift one cell of a class by two points in every trial, far beyond their noise."""
    classes = isomorphism.classes()
    best = int(table.mean_accuracy[2].argmax())
    kind = next(
        k
        for k in classes[np.argsort(-table.mean_accuracy[2])]
        if (classes == k).sum() >= 3 and classes[best] != k
    )
    member = int(np.flatnonzero(classes == kind)[1])
    correct = table.correct.copy()
    there = table.present[2, member]
    before = int(found(verify.verify(), "isomorphism (ImageNet").text.split()[0])
    correct[2, member, there] -= 300
    check = found(doctored(monkeypatch, table, correct=correct), "isomorphism (ImageNet")
    assert check.status == NOTE
    assert int(check.text.split()[0]) == before + 1


def test_parameters_out_of_order_are_counted(
    monkeypatch: pytest.MonkeyPatch, table: tables.Table
) -> None:
    weights = np.array([0, 0, 5, 50, 0])
    digits = np.stack(np.unravel_index(np.arange(15_625), (5,) * 6), axis=1)
    right = 1000 + weights[digits].sum(axis=1)
    good = doctored(monkeypatch, table, parameters=np.stack([right] * 3))
    assert found(good, "parameters").status == OK
    wrong = right.copy()
    wrong[12_345] += 1000
    bad = found(doctored(monkeypatch, table, parameters=np.stack([wrong] * 3)), "parameters")
    assert bad.status == NOTE
    assert not bad.text.startswith("0 of")


def test_an_imported_table(tmp_path: Path) -> None:
    file = support.write_zip(tmp_path / "f.pth", support.content(4))
    imported.import_path(file, "t", progress=lambda done, total: None)
    checks = verify.verify("t")
    assert found(checks, "content").status == OK
    assert found(checks, "cells (cifar10, 4 epochs)").text == (
        "4 of 15625 cells; trials: 15621 with 0, 2 with 1, 1 with 2, 1 with 3"
    )
    assert not [c for c in checks if c.name.startswith("optimum")]
    assert found(checks, "curves (cifar10, 4 epochs)").status in (OK, NOTE)


def test_a_curve_that_ends_elsewhere_fails(
    monkeypatch: pytest.MonkeyPatch, table: tables.Table
) -> None:
    curves = table.valid_accuracy[..., None] * np.array([0.5, 1.0])
    good = doctored(monkeypatch, table, valid_curve=curves)
    assert found(good, "curves (cifar10,").status == OK
    curves[0, 5, 0, 1] += 0.01
    bad = found(doctored(monkeypatch, table, valid_curve=curves), "curves (cifar10,")
    assert bad.status == FAILED
    assert "ends 0.010 points" in bad.text


def test_a_damaged_table_fails(tmp_path: Path) -> None:
    file = support.write_zip(tmp_path / "f.pth", support.content(2))
    stored = imported.import_path(file, "t", progress=lambda done, total: None)
    data = bytearray(stored.read_bytes())
    data[container.read(stored).arrays["4/train_seconds"].offset] ^= 1
    stored.write_bytes(bytes(data))
    (check,) = verify.verify("t")
    assert check.status == FAILED
    assert str(stored) in check.text


def test_an_unknown_table() -> None:
    with pytest.raises(InputError, match="Did you mean 'nasbench201'"):
        verify.verify("nasbench20")
