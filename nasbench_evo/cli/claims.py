"""`nasbench-evo claims`: a verdict for each published claim, from committed results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_evo.cli.console import out, say
from nasbench_evo.files import RESULTS


def claims(
    results: Annotated[
        Path, typer.Option("--results", help="Folder of the results folders of suites.")
    ] = RESULTS,
    target: Annotated[
        Path | None, typer.Option("--out", help="Markdown file to write, such as docs/claims.md.")
    ] = None,
) -> None:
    """Say of each claim of the papers whether the results show it: reproduced, not, or untested.

    Needs no stored runs: what results folders commit (runs.json, replayed.json) is enough.
    """
    from nasbench_evo.errors import InputError
    from nasbench_evo.files import write_text
    from nasbench_evo.results import claims as papers

    if not results.is_dir():
        raise InputError(
            f"{results} is no folder: expected the one that holds the results folders of suites, "
            "--results DIR."
        )
    found = papers.judge(papers.load(), results)
    for verdict in found:
        out(f"{verdict.claim.title}: {verdict.judgement}; {verdict.reason}")
    if target is None:
        say("--out FILE writes what is compared, with intervals.")
    else:
        say(f"Written: {write_text(target, papers.page(found))}")
