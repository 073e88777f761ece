"""`nasbench-evo suites`: which suites there are to run."""

from __future__ import annotations

import json
import textwrap
import tomllib
from typing import Annotated

import typer

from nasbench_evo.cli.console import out, times
from nasbench_evo.errors import NasbenchEvoError


def suites(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the suites that the package brings; `run NAME --dry-run` says what one would do."""
    from nasbench_evo import suite as known

    content = {}
    for name, file in known.bundled().items():
        written = tomllib.loads(file.read_text(encoding="utf-8"))
        try:
            rows: int | None = len(known.rows(known.load(file)))
            missing = ""
        except NasbenchEvoError:  # its table has to be imported first, as the description says
            rows, missing = None, written.get("table", "")
        content[name] = {
            "description": written.get("description", ""),
            "evaluator": written.get("evaluator", "lookup"),
            "rows": rows,
            "datasets": written["datasets"],
            "seeds": written["seeds"],
            "file": str(file),
            "missing_table": missing,
        }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    for name, facts in content.items():
        count = f"needs the table {facts['missing_table']}"
        if facts["rows"] is not None:
            count = times(facts["rows"], "row")
        size = f"{count} x {times(len(facts['datasets']), 'data set')} x "
        size += times(facts["seeds"], "seed")
        out(f"{name}  ({facts['evaluator']}, {size})")
        wrapped = textwrap.wrap(str(facts["description"]), 78)
        out("".join(f"  {line}\n" for line in wrapped))
