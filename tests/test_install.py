"""What users install: wheel and sdist, in a fresh environment with the declared dependencies only.

Nothing is downloaded: the dependencies are those of this environment, linked one by one.
"""

from __future__ import annotations

import email
import os
import re
import subprocess
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement

from nasbench_evo import cli

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch", "numpy", "pandas", "scipy", "matplotlib", "seaborn", "sklearn", "distributed", "dask",
    "loky", "pydantic", "jinja2", "PIL", "cmaes",
}  # fmt: skip
MODULES = 420  # that `nasbench-evo --help` may import; Python itself starts with about 60

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist, by the build system that pyproject.toml names."""
    backend = pytest.importorskip("hatchling.build", reason="needs hatchling to build")
    out, before = tmp_path_factory.mktemp("dist"), Path.cwd()
    os.chdir(ROOT)
    try:
        return out / backend.build_wheel(str(out)), out / backend.build_sdist(str(out))
    finally:
        os.chdir(before)


def tracked(*folders: str) -> set[str]:
    """The files of the checkout below some folders that are no build products."""
    return {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", "_build"} & set(path.parts)
    }


def test_the_wheel_is_complete_and_has_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        assert wheel.testzip() is None
    suites = {f"nasbench_evo/bundled_suites/{Path(name).name}" for name in tracked("suites")}
    assert len(suites) > 10
    content = {name for name in names if ".dist-info/" not in name}
    more = {
        "nasbench_evo/bundled_tables/digits.table.xz",
        "nasbench_evo/bundled_baselines/nb201.json",
    }
    assert content == tracked("nasbench_evo") | suites | more
    assert any(name.endswith(".html") or "/templates/" in name for name in content)


def test_the_sdist_is_complete(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert tracked("nasbench_evo", "suites", "docs") <= names
    assert {
        "results/tables/digits.table.xz",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "constraints.txt",
        "constraints-hashed.txt",
        "tox.ini",
    } <= names
    assert {name for name in tracked("tests") if name.endswith(".py")} <= names


def declared(wheel: Path, extras: str) -> list[str]:
    """The requirements that a wheel states, with those of its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        stated = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist")
    return [
        text
        for text in stated or []
        if (marker := Requirement(text).marker) is None
        or marker.evaluate({"extra": extras.strip("[]")})
    ]


def closure(requirements: list[str]) -> set[str]:
    """The distributions that some requirements need, as this environment has them."""
    found: set[str] = set()
    left = [Requirement(text) for text in requirements]
    while left:
        one = left.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(one.name) or []:
            needed = Requirement(text)
            extras = one.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                left.append(needed)
    return found


class Installed:
    """A fresh environment: the wheel, and links to the distributions that it declares."""

    def __init__(self, folder: Path, wheel: Path, extras: str = "") -> None:
        venv.create(folder, with_pip=True, symlinks=True)
        self.bin = folder / "bin"
        self.site = next((folder / "lib").glob("python*/site-packages"))
        for name in closure(declared(wheel, extras)):
            self._link(name)
        done = subprocess.run(
            [self.bin / "pip", "install", "--no-index", "--quiet", f"{wheel}{extras}"],
            capture_output=True,
            text=True,
        )  # pip itself checks that every requirement is there
        assert done.returncode == 0, done.stderr

    def _link(self, name: str) -> None:
        distribution = metadata.distribution(name)
        for top in {path.parts[0] for path in distribution.files or []} - {"..", "__pycache__"}:
            target, source = self.site / top, Path(str(distribution.locate_file(top)))
            if source.exists() and not target.exists():
                target.symlink_to(source)

    def run(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; fail where it does."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        done = subprocess.run(
            [self.bin / words[0], *words[1:]],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**environment, "MPLBACKEND": "agg"},
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done


@pytest.fixture(scope="module")
def plain(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Installed without extras."""
    return Installed(tmp_path_factory.mktemp("plain") / "venv", built[0])


def test_without_extras_there_is_no_torch(plain: Installed, tmp_path: Path) -> None:
    program = (
        "import importlib.util as u, nasbench_evo, sys; print(nasbench_evo.__file__); "
        "print([n for n in ('torch', 'sklearn', 'distributed', 'pyarrow') if u.find_spec(n)])"
    )
    place, extras = plain.run("python", "-c", program, cwd=tmp_path).stdout.splitlines()
    assert Path(place).is_relative_to(plain.site)
    assert extras == "[]"


def verbs() -> list[list[str]]:
    """Every command and subcommand of the command line."""
    found: list[list[str]] = [[]]
    commands = getattr(typer.main.get_command(cli.app), "commands", {})
    for name, command in commands.items():
        found.append([name])
        found += [[name, below] for below in getattr(command, "commands", {})]
    return found


def test_every_command_has_help(plain: Installed, tmp_path: Path) -> None:
    assert len(verbs()) > 15
    for verb in verbs():
        assert "Usage" in plain.run("nasbench-evo", *verb, "--help", cwd=tmp_path).stdout, verb


def test_the_quick_example_and_a_bundled_suite_run(plain: Installed, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "|nor_conv" in plain.run("python", "-c", blocks[0], cwd=tmp_path).stdout
    run = ["run", "nb201", "--seeds", "2", "--workers", "1", "--out", "try"]
    plain.run("nasbench-evo", *run, cwd=tmp_path)
    plain.run("nasbench-evo", "report", "try", cwd=tmp_path)
    assert (tmp_path / "try" / "report.html").stat().st_size > 100_000
    plain.run("nasbench-evo", "draw", "333132", "--out", "cell", cwd=tmp_path)
    assert "published" in (tmp_path / "try" / "summary.json").read_text()


def test_help_imports_little(plain: Installed, tmp_path: Path) -> None:
    """Counted in modules: seconds belong to the benchmarks."""
    done = plain.run("python", "-X", "importtime", "-m", "nasbench_evo", "--help", cwd=tmp_path)
    names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    heavy = {name for name in names if name.partition(".")[0] in HEAVY}
    print(f"nasbench-evo --help imports {len(names)} modules")
    assert heavy == set()
    assert 60 < len(names) < MODULES


@pytest.mark.torch
def test_with_the_extra_train_a_network_is_trained(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    installed = Installed(tmp_path / "venv", built[0], "[train]")
    words = "search random_search --evaluator standalone --dataset digits --evaluations 2"
    settings = ["epochs=1", "train_size=40", "batch_size=20", "channels=4", "cells=1"]
    chosen = [word for setting in settings for word in ("--evaluator-set", setting)]
    done = installed.run("nasbench-evo", *words.split(), *chosen, "--json", cwd=tmp_path)
    assert '"evaluator": "standalone"' in done.stdout
