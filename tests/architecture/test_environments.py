"""Every test runs in some environment of tox: what it needs is installed where it is chosen."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import parsed

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# The package that brings a module, where its name is another one.
PACKAGES = {
    "scikit_posthocs": "scikit-posthocs",
    "dask_jobqueue": "dask-jobqueue",
    "nas_201_api": "nas-bench-201",
    "tensorboardX": "tensorboardx",
}


def installed(environment: str) -> set[str]:
    """Return the names of the packages that an environment's extras ask for."""
    extras = re.split(r"[,\s]+", TOX[environment]["extras"])
    wanted = [PROJECT["optional-dependencies"][extra] for extra in extras]
    names = [line for group in [PROJECT["dependencies"], *wanted] for line in group]
    return {re.split(r"[<>=!\[ ;]", name)[0].lower() for name in names}


def parts(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield each module that a file's tests skip without, and whether these are marked torch."""
    tree = parsed(file.read_text())
    marked = "mark.torch" in "".join(
        ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    )
    for node in tree.body:
        decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
        own = marked or any("mark.torch" in text for text in decorators)
        for call in ast.walk(node):
            skips = isinstance(call, ast.Call) and "importorskip" in ast.unparse(call.func)
            if skips and isinstance(call.args[0], ast.Constant):
                yield str(call.args[0].value), own


def test_the_two_environments_share_all_tests_between_them() -> None:
    commands = {name: TOX[name]["commands"] for name in ("testenv", "testenv:train")}
    assert '-m "not torch"' in commands["testenv"]
    assert "-m torch" in commands["testenv:train"]
    for command in commands.values():
        assert "--ignore" not in command
        assert "tests/" not in command  # no list that a new file could be missing from
        assert "--benchmark-skip" in command  # speed at the papers' sizes is the next's alone
    assert "tests/benchmarks --benchmark-only" in TOX["testenv:bench"]["commands"]
    assert {"py", "train"} <= set(re.split(r"[,\s]+", TOX["tox"]["env_list"]))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_a_test_needs_is_installed_where_it_runs(file: Path) -> None:
    if "benchmarks" in file.parts:
        return  # they run in an environment of their own
    for module, torch in parts(file):
        package = PACKAGES.get(module.partition(".")[0], module.partition(".")[0])
        environment = "testenv:train" if torch else "testenv"
        assert package in installed(environment), f"{module} is not in {environment}"
