"""`nasbench-evo table` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasbench_evo import cli

sys.path.insert(0, str(Path(__file__).parents[1] / "tables"))
import official_support as support


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    return tmp_path / "tables"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process; return (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nasbench-evo", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_import_then_look(call: Any, tmp_path: Path) -> None:
    file = support.write_legacy(tmp_path / "f.pth", support.content(3))
    code, printed, said = call("table", "import", file, "--name", "mine")
    assert code == 0
    assert "not among the known published files" in said
    assert "Imported as mine" in said
    assert "x-valid of cifar10-valid" in printed
    assert "last epoch only" in printed

    code, printed, _ = call("table", "list", "--json")
    assert list(json.loads(printed)) == ["nasbench201", "fcnet", "mlp", "digits", "mine"]

    code, printed, _ = call("table", "info", "mine", "--json")
    content = json.loads(printed)
    assert content["lengths_of_training"] == [2, 4]
    assert content["has_test_accuracy"]
    assert content["has_learning_curves"]
    assert content["datasets"]["cifar10"]["learning_curves"]
    assert not content["datasets"]["cifar100"]["learning_curves"]
    assert content["datasets"]["cifar10"]["test_split"] == "ori-test of cifar10"

    code, printed, _ = call("table", "query", "000000", "--table", "mine", "--epochs", 2, "--json")
    facts = json.loads(printed)["datasets"]["cifar10"]
    assert len(facts["valid_accuracy"]) == len(facts["test_accuracy"]) == 2

    code, printed, _ = call("table", "query", "#1", "--table", "mine")
    assert code == 0
    assert "unknown" in printed

    code, printed, _ = call("table", "verify", "mine", "--json")
    assert code == 0
    assert {check["status"] for check in json.loads(printed)} <= {"ok", "note"}


def test_a_damaged_table_ends_verify_with_4(call: Any, tmp_path: Path, own_folder: Path) -> None:
    file = support.write_legacy(tmp_path / "f.pth", support.content(1))
    call("table", "import", file, "--name", "mine")
    stored = own_folder / "mine.table"
    stored.write_bytes(stored.read_bytes()[:-100])
    code, printed, said = call("table", "verify", "mine")
    assert code == 4
    assert "FAILED" in printed
    assert "Error: The table mine failed: content" in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("import", "absent.pth", "--name", "x"), 2, "There is no absent.pth"),
        (("import", __file__, "--name", "x"), 4, "not a benchmark file"),
        (("import", __file__, "--name", "nasbench201"), 2, "embedded table"),
        (("import", __file__, "--name", "x", "--via", "other"), 2, "Unknown package 'other'"),
        (("info", "nasbench202"), 2, "Did you mean 'nasbench201'"),
        (("query", "#1", "--epochs", 12), 2, "200 epochs only; got 12"),
        (("verify", "nothing"), 2, "Unknown table 'nothing'"),
    ],
)
def test_errors(call: Any, arguments: tuple[object, ...], code: int, message: str) -> None:
    found, _, said = call("table", *arguments)
    assert found == code
    assert message in said
    assert "Traceback" not in said


def test_verify_of_the_embedded_table(call: Any) -> None:
    code, printed, _ = call("table", "verify")
    assert code == 0
    assert "optimum (cifar10, 200 epochs): best mean accuracy 91.607 %; known 91.607 %" in printed
    assert "204 cells list another model size" in printed


def test_a_search_on_an_imported_table(call: Any, tmp_path: Path) -> None:
    accuracies = {f"{np.base_repr(i, 5):0>6}": 100 - abs(i - 7000) / 200 for i in range(15_625)}
    (tmp_path / "own.json").write_text(json.dumps(accuracies))
    call("table", "import", tmp_path / "own.json", "--name", "own")
    command = ("search", "regularized_evolution", "--table", "own", "--dataset", "own")
    code, printed, _ = call(*command, "--json")
    content = json.loads(printed)
    assert code == 0
    assert content["reported"] == "validation: valid of own after 1 epochs; test: none"
    assert content["parameters"] is None
    assert content["latency_seconds"] is None
    assert content["valid_accuracy"] > 90
    code, printed, _ = call(*command)
    assert code == 0
    assert "reported from validation: valid of own" in " ".join(printed.split())
    code, _, said = call(*command, "--simulated-seconds", 100)
    assert code == 2
    assert "no training times of own" in said
