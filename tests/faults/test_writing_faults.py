"""What is written: whole, never through a symlink, and harmless in a spreadsheet."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.fault_support import invoke, write_suite
from matplotlib.figure import Figure

from nasbench_evo import suite as suites
from nasbench_evo.algorithms import get
from nasbench_evo.errors import InputError
from nasbench_evo.figures import style
from nasbench_evo.files import csv_text
from nasbench_evo.runner import Budget


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_figures_are_whole_and_never_written_through_a_symlink(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"figure.{kind}").symlink_to(victim)
    with style.using():
        figure = Figure()
        figure.suptitle(r"$\frac{$")
        (path,) = style.save(figure, tmp_path / "figure", (kind,))
    assert victim.read_text() == "mine"
    assert path.stat().st_size > 100
    assert not path.is_symlink()
    whole = path.read_bytes()

    class Torn(Figure):
        def savefig(self, fname, **options):  # type: ignore[no-untyped-def]
            fname.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), style.using():
        style.save(Torn(), tmp_path / "figure", (kind,))
    assert path.read_bytes() == whole
    assert {file.name for file in tmp_path.iterdir()} == {"victim", path.name}


def test_cells_are_no_formulas() -> None:
    row = ["=1+1", "+x", "-x", "@x", "-1.5", -1.5, "a\nb\x1b[0m", "eigen", None]
    text = csv_text(["name"] * len(row), [row])
    assert text.splitlines()[1] == "'=1+1,'+x,'-x,'@x,-1.5,-1.5,a b [0m,eigen,"


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400, -1, 0])
def test_budgets_end(value: float) -> None:
    with pytest.raises(InputError, match="must be positive, at most"):
        Budget(value)


def test_an_integer_that_is_no_float_is_refused() -> None:
    with pytest.raises(InputError, match="must be float"):
        get("genetic_cnn").configure("paper", {"p_mutation": 10**400})


def test_a_suite_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = write_suite(tmp_path, seeds=1)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert suites.load(file).name == "small"


def test_any_file_that_cannot_be_written_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://no.such.backend")
    (tmp_path / "file").write_text("")
    words = ["draw", "333103", "--format", "svg", "--out", str(tmp_path / "file" / "cell")]
    ended = invoke(*words)
    assert ended.code == 2
    assert "Cannot" in ended.err
    words[-1] = str(tmp_path / "cell")
    assert invoke(*words).code == 0
