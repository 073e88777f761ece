"""The command line. Each command imports what it needs when it runs: --help stays fast."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from typing import Annotated

import typer

from nasbench_evo import __version__
from nasbench_evo.cli import (
    check,
    claims,
    doctor,
    draw,
    figures,
    pareto,
    rank_correlation,
    ranks,
    report,
    retrain,
    run,
    search,
    suites,
    table,
    training,
)
from nasbench_evo.cli.console import out, own_streams, say, settle
from nasbench_evo.errors import InputError, NasbenchEvoError

app = typer.Typer(
    name="nasbench-evo",
    help=(
        "Run, compare and trust evolutionary neural architecture search.\n\n"
        "Start with: nasbench-evo search regularized_evolution, then nasbench-evo run nb201."
    ),
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("claims")(claims.claims)
app.command("figures")(figures.figures)
app.command("draw")(draw.draw)
app.command("pareto")(pareto.pareto)
app.command("rank-correlation")(rank_correlation.rank_correlation)
app.command("ranks")(ranks.ranks)
app.command("retrain")(retrain.retrain)
app.command("predict")(rank_correlation.predict)
app.command("report")(report.report)
app.command("export")(report.export)
app.command("search")(search.search)
app.command("algorithms")(search.algorithms)
app.command("suites")(suites.suites)
app.command("train")(training.train)
app.command("doctor")(doctor.doctor)
table.app.command("build")(training.build)
app.add_typer(table.app, name="table")
for _command in (*app.registered_commands, *table.app.registered_commands):
    # Lines of a docstring are as long as those of the source: a terminal has others.
    _paragraphs = inspect.cleandoc(_command.callback.__doc__ or "").split("\n\n")
    _command.help = "\n\n".join(" ".join(text.split()) for text in _paragraphs)


def _version(show: bool) -> None:
    if show:
        out(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Run, compare and trust evolutionary neural architecture search."""


def main() -> None:
    """Run the command line; errors that a user can act on end it with their exit code."""
    # NumPy's matrices are small here: its threads only wait for each other (measured: 10x slower
    # on a busy machine). NumPy is imported later, by the commands.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ["MPLBACKEND"] = "agg"  # figures go to files; a notebook's backend is not ours
    warnings.formatwarning = _warning
    own_streams()
    try:
        _run()
    except OSError:  # stderr itself cannot be written: nobody can be told
        sys.exit(InputError.exit_code)
    finally:
        settle()


def _run() -> None:
    """Run the command that was given; say what a user can act on, and exit.

    Where the reader of stdout has gone, e.g. `| head`, typer ends it with 1 and without a word.
    """
    try:
        app()
    except NasbenchEvoError as error:
        say(f"Error: {error}")
        sys.exit(error.exit_code)
    except MemoryError:
        say("Error: There is not enough memory for this. Ask for less, or use a larger machine.")
        sys.exit(InputError.exit_code)
    except OSError as error:  # whatever no room explains better
        where = f" {str(error.filename)[:200]}" if error.filename else ""
        say(f"Error: Cannot read or write{where}: {error.strerror or error}.")
        sys.exit(InputError.exit_code)


def _warning(message: Warning | str, *_: object, **__: object) -> str:
    """Return a warning as people read it: without a line of source."""
    return f"Warning: {message}\n"
