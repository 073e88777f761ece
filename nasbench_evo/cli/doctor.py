"""`nasbench-evo doctor`: prove an installation on a device, and say how fast it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from nasbench_evo.cli.console import out, say, tables


def doctor(
    device: Annotated[str, typer.Option(help="cpu or cuda:0.")] = "cpu",
    timed: Annotated[
        bool, typer.Option("--timings/--no-timings", help="Also measure speed.")
    ] = True,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Where to write (default results/gpu on a GPU, else nowhere)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove that training works on a device, within ten minutes.

    Every network, joint training, path, mixture and population in fp64 against the CPU; 40 steps
    in each precision; no wait inside a step; resuming; lack of memory; two processes on one
    device; checkpoints. Then timings, as ratios, by which `jointly = "auto"` goes from then on. The
    exit code is 1 where something fails.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    from nasbench_evo.evaluators.specifications import training_module

    training_module()  # raises where torch is missing
    from nasbench_evo.training.doctor import report

    content = report(device, timed, say)
    speeds = {one["jointly"]: one["ratio"] for one in content["timings"] if one["jointly"]}
    if speeds:
        from nasbench_evo.training.jointly import remember

        say(f'Kept for jointly = "auto": {remember(device, speeds)}')
    if as_json:
        out(json.dumps(content, indent=1))
    else:
        _print(content)
    target = folder or (Path("results") / "gpu" if device.startswith("cuda") else None)
    if target is not None:
        from nasbench_evo.files import write_json

        name = content["machine"].get("name", "cpu").lower().replace(" ", "-")
        say(f"Written: {write_json(target / f'{name}.json', content)}")
    if any(finding["status"] == "fail" for finding in content["findings"]):
        raise typer.Exit(1)


_FINDINGS = (
    "pass, fail: what was compared agrees or does not. A number is the largest difference in fp64, "
    "relative to the largest value; up to 1e-9 is rounding. skipped: this device has nothing of "
    "the kind."
)
_SPEEDS = (
    "Medians of 3 rounds, taken in turn; above 1 the first is faster. By those of joint training "
    'goes jointly = "auto"; precision and channels_last change results, so they stay as you set '
    "them."
)


def _print(content: dict[str, Any]) -> None:
    """Print the machine and a table of what passed."""
    from rich.table import Table

    machine = content["machine"]
    out(", ".join(f"{name} {value}" for name, value in machine.items() if value is not None))
    table = Table()
    for name in ("check", "status", "what was compared"):
        table.add_column(name)
    for finding in content["findings"]:
        table.add_row(finding["name"], finding["status"], finding["detail"])
    tables().print(table)
    out(_FINDINGS)
    if not content["timings"]:
        return
    speeds = Table()
    speeds.add_column("what")
    speeds.add_column("times as fast as")
    speeds.add_column("ratio", justify="right")
    for timing in content["timings"]:
        speeds.add_row(timing["what"], timing["than"], f"{timing['ratio']:.2f}")
    tables().print(speeds)
    out(_SPEEDS)
