"""Nothing in the package runs text as code, and every pin has a reason."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support import parsed

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nasbench_evo"
# exec, eval, pickle, marshal, yaml.load, shells, SQL from text, torch.load, templates that do not
# escape. pyproject.toml selects all of S; this list and --ignore-noqa do not follow its exceptions.
RULES = "S102,S301,S302,S307,S506,S602,S604,S605,S606,S608,S609,S701,S702"
# SQL whose only changing part is one of three table names in the same file.
ALLOWED = {("store.py", "S608")}
FORBIDDEN = {"eval", "exec", "compile", "__import__", "execfile"}
FORBIDDEN_CALLS = {
    "pickle.load", "pickle.loads", "marshal.load", "marshal.loads", "shelve.open", "yaml.load",
    "os.system", "os.popen", "joblib.load", "cloudpickle.load", "cloudpickle.loads",
    "tempfile.mktemp",
}  # fmt: skip


def test_the_security_rules_of_ruff() -> None:
    command = f"{sys.executable} -m ruff check --isolated --ignore-noqa --output-format json"
    done = subprocess.run(
        [*command.split(), "--select", RULES, str(PACKAGE)],
        capture_output=True,
        text=True,
    )
    found = {(Path(one["filename"]).name, one["code"]) for one in json.loads(done.stdout)}
    assert found == ALLOWED


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with its dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def offences(source: str) -> list[str]:
    """What a file has of the things that the package must not have."""
    tree, found = parsed(source), []
    for name, call in calls(tree):
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        bad = name in FORBIDDEN or name in FORBIDDEN_CALLS
        bad |= name == "torch.load" and options.get("weights_only") != "True"
        bad |= options.get("shell", "False") != "False"
        bad |= options.get("allow_pickle", "False") != "False"
        bad |= name.endswith("Unpickler") and name.startswith("pickle.")
        if bad:
            found.append(f"line {call.lineno}: {ast.unparse(call)}")
    for node in ast.walk(tree):  # an unpickler of our own must refuse names
        if isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(ast.unparse, node.bases):
            methods = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
            own = methods.get("find_class")
            if own is None or not any(isinstance(line, ast.Raise) for line in ast.walk(own)):
                found.append(f"line {node.lineno}: class {node.name} takes any name")
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


def test_no_file_runs_what_it_reads() -> None:
    assert len(FILES) > 100
    found = {str(path.relative_to(ROOT)): offences(path.read_text()) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import pickle\npickle.loads(data)",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "subprocess.run(text, shell=True)",
        "numpy.load(path, allow_pickle=True)",
        "pickle.Unpickler(file).load()",
        "class Mine(pickle.Unpickler):\n    pass",
        "class Mine(pickle.Unpickler):\n    def find_class(self, a, b):\n        return 1",
        "yaml.load(text)",
    ],
)
def test_the_check_sees(source: str) -> None:
    assert offences(source)


def test_actions_are_pinned_by_commit() -> None:
    """A tag can be moved to other code; the version stands beside it for people."""
    used = [
        line.strip()
        for file in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in file.read_text().splitlines()
        if "uses:" in line
    ]
    assert len(used) > 10
    pinned = re.compile(r"- uses: [\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")
    assert [line for line in used if not pinned.fullmatch(line)] == []


# Pins that come with a package of an extra.
NEEDS = {
    "torch": {"sympy", "mpmath", "networkx", "fsspec"},
    "scikit-learn": {"joblib", "threadpoolctl", "narwhals", "lazy-importer"},
    "nas-bench-201": {"tqdm"},
    "tensorboardx": {"protobuf"},
    "distributed": {
        "click", "cloudpickle", "dask", "importlib-metadata", "lazy-importer", "locket", "msgpack",
        "partd", "psutil", "pyyaml", "sortedcontainers", "tblib", "toolz", "tornado", "zict",
        "zipp",
    },
    "optuna": {"alembic", "colorlog", "mako", "pyyaml", "sqlalchemy", "tqdm"},
    "pymoo": {
        "about-time", "alive-progress", "autograd", "cma", "deprecated", "graphemeu", "wrapt",
    },
    "nevergrad": {"bayesian-optimization", "cma", "directsearch"},
    "statsmodels": {"formulaic", "interface-meta", "patsy"},
    "furo": {"accessible-pygments", "beautifulsoup4", "soupsieve", "sphinx-basic-ng"},
    "myst-parser": {"markdown-it-py", "mdit-py-plugins", "mdurl", "pyyaml"},
    "sphinx": {
        "alabaster", "babel", "certifi", "charset-normalizer", "colorama", "docutils", "idna",
        "imagesize", "packaging", "pygments", "requests", "roman-numerals", "snowballstemmer",
        "sphinxcontrib-applehelp", "sphinxcontrib-devhelp", "sphinxcontrib-htmlhelp",
        "sphinxcontrib-jsmath", "sphinxcontrib-qthelp", "sphinxcontrib-serializinghtml", "urllib3",
    },
}  # fmt: skip


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """The pinned versions by name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*", line) for line in pinned)
    return {canonical(name): version for name, version in (line.split("==") for line in pinned)}


def declared() -> list[str]:
    """Every requirement that pyproject.toml states, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(text for extra in extras for text in extra)]


def reachable() -> set[str]:
    """Those requirements and theirs, as far as they are installed; markers but extras count."""
    found: set[str] = set()
    left = [Requirement(text) for text in declared()]
    while left:
        one = left.pop()
        key = canonical(one.name)
        if key in found and not one.extras:
            continue
        found.add(key)
        try:
            needs = metadata.requires(one.name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in needs:
            needed = Requirement(text)
            marker = needed.marker
            extra = marker is not None and "extra" in str(marker)
            if not extra or any(marker.evaluate({"extra": e}) for e in one.extras if marker):
                left.append(needed)
    return found


def installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def test_every_pin_is_needed_and_every_need_is_pinned() -> None:
    """Where a package is not installed, `NEEDS` says what it is known to bring."""
    pinned, needed = pins(), reachable()
    absent = [name for name in needed if not installed(name)]
    strangers = set(pinned) - needed
    assert strangers - set().union(*(NEEDS[name] for name in absent if name in NEEDS)) == set()
    assert {canonical(Requirement(text).name) for text in declared()} - set(pinned) == set()
    for text in declared():
        requirement = Requirement(text)
        version = pinned[canonical(requirement.name)]
        assert requirement.specifier.contains(version), (text, version)


def test_the_hashes_of_a_release_are_of_the_pins() -> None:
    """Of hatchling, the package's own dependencies and theirs; from any index, on any platform."""
    text = (ROOT / "constraints-hashed.txt").read_text()
    assert "://" not in text
    hashes = r"( \\\n {4}--hash=sha256:[0-9a-f]{64})+\n"
    entry = r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)( ; [^\\\n]+)?" + hashes
    entries = list(re.finditer(entry, text))
    assert re.sub(entry, "", text).lstrip().startswith("# ")
    assert all(line.startswith("#") for line in re.sub(entry, "", text).splitlines())
    found = {one["name"]: one["version"] for one in entries}
    pinned = pins()
    assert found.items() <= pinned.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    assert {canonical(Requirement(needed).name) for needed in wanted} <= found.keys()


def test_tools_of_workflows_are_pinned() -> None:
    """tox installs what constraints.txt pins; a tool beside it has its version."""
    workflows = (ROOT / ".github" / "workflows").glob("*.yml")
    lines = [line for file in workflows for line in file.read_text().splitlines()]
    installs = [line.partition("pip install ")[2] for line in lines if "pip install " in line]
    sound = r"tox|[\w-]+==[\d.]+|--require-hashes --no-deps -r \S+|--no-deps --no-index \S+"
    assert [words for words in installs if not re.fullmatch(sound, words)] == []


@pytest.mark.slow
def test_no_pin_has_a_known_vulnerability() -> None:
    """Where pip-audit is installed and reaches its advisories; it is in no extra."""
    program = shutil.which("pip-audit")
    if program is None:
        pytest.skip("pip-audit is not installed")
    options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            [program, "-r", str(ROOT / "constraints.txt"), *options],
            capture_output=True,
            text=True,
            timeout=120,
        )
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        pytest.skip("the advisory data is not reachable")
    if all("skip_reason" in one for one in report["dependencies"]):
        pytest.skip("the advisory data is not reachable")
    known = {one["name"]: one["vulns"] for one in report["dependencies"] if one.get("vulns")}
    assert known == {}
