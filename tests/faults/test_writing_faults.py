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


def exported(folder: Path) -> Path:
    """A results folder to export from."""
    suite = write_suite(folder, seeds=2, evaluations=12)
    assert invoke("run", str(suite), "--out", str(folder / "out"), "--engine", "serial").code == 0
    return folder / "out"


def test_parquet_is_whole_and_never_written_through_a_symlink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="extra parquet is not installed")
    out, victim = exported(tmp_path), tmp_path / "victim"
    victim.write_text("mine")
    (out / "runs.parquet").symlink_to(victim)
    assert invoke("export", "--parquet", str(out)).code == 0
    assert victim.read_text() == "mine"
    whole = (out / "runs.parquet").read_bytes()
    assert parquet.read_table(out / "runs.parquet").num_rows == 16

    def torn(table: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet, "write_table", torn)
    ended = invoke("export", "--parquet", str(out))
    assert ended.code == 2
    assert "No space left on device" in ended.err
    assert (out / "runs.parquet").read_bytes() == whole
    assert not list(out.glob(".*parquet*"))


@pytest.mark.parametrize("place", ["tensorboard", "tensorboard/cifar10"])
def test_scalars_are_never_written_through_a_symlink(tmp_path: Path, place: str) -> None:
    pytest.importorskip("tensorboardX", reason="extra tensorboard is not installed")
    out, victim = exported(tmp_path), tmp_path / "victim"
    victim.mkdir()
    (out / place).parent.mkdir(exist_ok=True)
    (out / place).symlink_to(victim)
    ended = invoke("export", "--tensorboard", str(out))
    assert ended.code == 2
    assert "is a link" in ended.err
    assert not list(victim.iterdir())
    (out / place).unlink()
    for _ in range(2):  # the second replaces the first
        assert invoke("export", "--tensorboard", str(out)).code == 0
    runs = list((out / "tensorboard").rglob("events.out.tfevents.*"))
    assert len(runs) == 16
    assert not list((out / "tensorboard").rglob(".new.*"))


def test_the_page_is_never_written_through_a_symlink(tmp_path: Path) -> None:
    out, victim = exported(tmp_path), tmp_path / "victim"
    victim.write_text("mine")
    for name in ("report.html", "summary.tex", "summary.md"):
        (out / name).symlink_to(victim)
    assert invoke("report", str(out)).code == 0
    assert invoke("export", "--latex", "--markdown", str(out)).code == 0
    assert victim.read_text() == "mine"
    assert not any(path.is_symlink() for path in out.iterdir())
