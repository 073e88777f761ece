"""Suite files: found, read, and checked before anything runs."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from nasbench_evo.errors import DataError, InputError, Unsupported, unknown
from nasbench_evo.suite.kinds import identity, name_objective, of
from nasbench_evo.suite.model import Entry, RankCorrelation, Suite, Truth
from nasbench_evo.suite.units import named, rows

# They lie among the suites, but hold published results, and what is claimed of them.
PUBLISHED = "published.toml"
CLAIMS = "claims.toml"
# The keys of what is nested in a suite.
_MODELS: dict[str, type[BaseModel]] = {
    "rows": Entry,
    "truth": Truth,
    "rank_correlation": RankCorrelation,
}


def load(path: Path, *, by_name: bool = False) -> Suite:
    """Return the suite in a TOML file; `by_name`: without importing `package.module:Class`.

    Raises InputError where it cannot be read or its content is wrong: an unknown key names its
    near miss.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"Cannot read the suite {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a TOML file: {error}.") from error
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error)}") from error
    if by_name:
        named(suite, None)
        name_objective(suite, None)
    rows(suite)  # every algorithm, preset and hyper-parameter is checked before anything runs
    try:
        of(suite).check(suite)
    except Unsupported:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return suite


_NAMES = "expected letters, digits, _, . and -, as it names files; not . or - first"


def _explain(error: ValidationError) -> str:
    """Return the first problem of a suite in words; an unknown key explains a missing one."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        model = _MODELS.get(str(first["loc"][0]), Suite)
        return f"{unknown('key', str(first['loc'][-1]), model.model_fields)} (at {place})"
    if first["type"] == "value_error" and not place:  # a check of the whole suite says what came
        return str(first["ctx"]["error"]).rstrip(".") + "."
    came = "" if first["type"] == "missing" else f"; got {first['input']!a:.80}"
    said = _NAMES if first["type"] == "string_pattern_mismatch" else first["msg"]
    return f"{place}: {said}{came}."


def find(name: str) -> Path:
    """Return the file of a suite: a path, or the name of one that the package brings.

    Raises InputError naming the known suites.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return path
    known = bundled()
    if name not in known:
        raise unknown("suite", name, known)
    return known[name]


def bundled() -> dict[str, Path]:
    """Return the suites that the package brings, by name."""
    files = [file for folder in bundled_folders() for file in sorted(folder.glob("*.toml"))]
    return {file.stem: file for file in files if file.name not in (PUBLISHED, CLAIMS)}


def bundled_as(suite: Suite) -> str:
    """Return the name by which the package brings this suite; empty where it does not."""
    path = bundled().get(suite.name)
    if path is None:
        return ""
    try:
        return suite.name if identity(load(path)) == identity(suite) else ""
    except InputError:  # its table is not imported here: then neither is the suite's
        return ""


def to_toml(suite: Suite) -> str:
    """Return the text of a suite file whose runs are those of `suite`; `load` reads it.

    Devices are left out: they are an option of a run.
    """
    content = json.loads(identity(suite))
    content |= {"description": suite.description, "seeds": suite.seeds}
    rows = content.pop("rows")
    first = ["name", "description", "evaluator", "table", "datasets", "seeds"]
    ordered = {key: content[key] for key in [*first, *content] if key in content}
    lines = _lines(ordered)
    for row in rows:
        lines += ["", "[[rows]]", *_lines(row)]
    return "\n".join(lines) + "\n"


def _lines(content: dict[str, Any]) -> list[str]:
    """Return a line of TOML for each value that says something."""
    return [
        f"{_key(key)} = {_value(value)}"
        for key, value in content.items()
        if value is not None and (key not in _EMPTY_BY_DEFAULT or value)
    ]


_EMPTY_BY_DEFAULT = ("set", "grid", "checkpoints", "report_on", "evaluator_set")


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    """Return a value as TOML writes it; of strings, numbers and booleans that is nearly JSON."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)  # inf and nan too
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def bundled_folders() -> list[Path]:
    """Return the folders of suites that come with the package or its source checkout."""
    package = Path(__file__).parents[1]
    candidates = [package / "bundled_suites", package.parent / "suites"]
    return [folder for folder in candidates if folder.is_dir()]


def bundled_file(name: str, what: str) -> Path:
    """Return a file beside the bundled suites; raise DataError, of `what`, if it is not there."""
    for folder in bundled_folders():
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"Published {what} are missing: expected {name} among the suites that come with the "
        "package. Reinstall."
    )
