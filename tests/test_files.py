"""The ground: a file is whole or as it was; a value has one text."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from nasbench_evo import files


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.json"
    assert files.write_json(path, {"a": 1}) == path
    with pytest.raises(TypeError), files.replacing(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_text_of_a_value_does_not_depend_on_the_order_of_its_keys() -> None:
    one, other = {"b": (1, 2), "a": None}, {"a": None, "b": [1, 2]}
    assert files.canonical(one) == files.canonical(other) == '{"a":null,"b":[1,2]}'
    assert files.digest(one) == files.digest(other) != files.digest({**one, "a": 0})


def test_figures_are_rounded_to_what_every_machine_gives() -> None:
    fields = {"sum": 0.1 + 0.2, "unknown": float("nan"), "n": 10**12, "name": "x"}
    assert files.plain_fields(fields) == {"sum": 0.3, "unknown": None, "n": 10**12, "name": "x"}


def test_csv_is_read_back(tmp_path: Path) -> None:
    path = files.write_text(tmp_path / "a.csv", files.csv_text(["a", "b"], [('1,"2', None)]))
    assert b"\r" not in path.read_bytes()
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ['1,"2', ""]]


def test_folders_of_the_user_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NASBENCH_EVO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "mine"))
    assert files.cache_folder() == tmp_path / "cache"
    assert files.tables_folder() == tmp_path / "mine"
