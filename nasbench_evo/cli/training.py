"""`nasbench-evo train`, `nasbench-evo table build`, and searches that train every candidate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_evo.cli.console import out, progress, say
from nasbench_evo.files import RESULTS

if TYPE_CHECKING:
    from nasbench_evo.evaluators.standalone import StandaloneEvaluator
    from nasbench_evo.spaces import Genotype

WEIGHTS, RESULT = "checkpoint.pt", "result.json"  # of `train`
_LONGEST = 24  # genes that a folder's name spells out

Settings = Annotated[
    list[str] | None,
    typer.Option("--evaluator-set", help="Set one: --evaluator-set epochs=12 (repeatable)."),
]
Devices = Annotated[str, typer.Option(help="cpu, or cuda:0,cuda:1.")]
Dataset = Annotated[str, typer.Option(help="Data set to train on.")]
SpaceName = Annotated[str, typer.Option(help="The space: nasbench201, darts_cell, ...")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def standalone(
    space: str,
    dataset: str,
    assignments: list[str] | None,
    devices: str,
    workers: int,
    folder: Path | None,
) -> StandaloneEvaluator:
    """Return the evaluator that the options stand for; raise InputError for unknown devices."""
    from nasbench_evo.evaluators.settings import parse, settings
    from nasbench_evo.evaluators.specifications import check_devices, training_module

    check_devices(devices.split(","))
    made: StandaloneEvaluator = training_module().standalone(
        space,
        dataset,
        settings(parse(assignments or [])),
        devices=devices.split(","),
        workers=workers,
        folder=folder,
    )
    return made


def train(
    genotype: Annotated[str, typer.Argument(help="What to train, in the space's printed form.")],
    dataset: Dataset = "digits",
    space: SpaceName = "nasbench201",
    settings_: Settings = None,
    devices: Annotated[str, typer.Option("--device", help="cpu or cuda:0.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="One seed, one training.")] = 0,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder (default results/train-SPACE-DATASET-GENOTYPE-seedN)."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Discard the training that the folder holds.")
    ] = False,
    svm: Annotated[
        bool,
        typer.Option("--svm", help="Then a linear SVM on the features of --svm-dataset."),
    ] = False,
    svm_dataset: Annotated[str, typer.Option(help="Data set of --svm.")] = "caltech256",
    as_json: AsJson = False,
) -> None:
    """Train one found genotype, on any data set and at any width (transfer).

    Writes a checkpoint each epoch, the learning curve as a figure and result.json with the
    validation and test accuracy. With teacher_networks it distils from that teacher (mimicry);
    with valid_fraction=0 all training images train and none validate.
    The same command with --resume goes on where it stopped; a folder that holds a training is
    refused otherwise, unless --fresh discards it.
    """
    from nasbench_evo.claim import writable
    from nasbench_evo.errors import InputError
    from nasbench_evo.figures.suites import learning_curve

    trainer = standalone(space, dataset, settings_, devices, 1, None)
    from nasbench_evo.training.final import FinalTraining  # after the check for torch
    from nasbench_evo.training.individuals import training_seed

    chosen: Genotype = trainer.space.parse(genotype)
    where = folder or _train_folder(space, dataset, chosen, seed)
    own_seed = training_seed(seed, chosen, 0, "final")
    with writable(where):
        if not resume:
            _free(where, fresh=fresh)
        teacher = _teacher(trainer, where)
        run = FinalTraining(trainer.plan, chosen, own_seed, where / WEIGHTS, devices, teacher)
        if resume:
            run.resume()
            say(f"Resuming after epoch {run.epoch} of {run.epochs}")
        with progress("epochs", run.epochs, run.epoch) as advance:
            run.run(advance)
        content = run.report()
        if trainer.teacher is not None:
            content["teacher_valid_accuracy"] = trainer.teacher.accuracy(where)
        if svm:
            say(f"Linear SVM on features of {svm_dataset}")
            content["svm"] = run.svm(svm_dataset)
        paths = [
            run.write(where / RESULT, content),
            *learning_curve.draw(content, where / "learning_curve"),
        ]
    if as_json:
        out(json.dumps(content, indent=1))
    else:
        _print_final(content)
    say("Written:")
    for path in [where / WEIGHTS, *paths]:
        say(f"  {path}")
    if content["status"] != "ok":
        advice = {"diverged": "Lower lr, or set gradient_clip.", "failed": "Lower batch_size."}
        raise InputError(
            f"The training {content['status']}: {content['reason']}. "
            f"{advice[content['status']]} What there was until then is written."
        )


def _train_folder(space: str, dataset: str, genotype: Genotype, seed: int) -> Path:
    """Return the default folder of a training: one for each genotype and seed."""
    from nasbench_evo.files import digest

    text = "".join(map(str, genotype)) if all(type(gene) is int for gene in genotype) else ""
    name = text if 0 < len(text) <= _LONGEST else digest(genotype)[:12]
    return RESULTS / f"train-{space}-{dataset}-{name}-seed{seed}"


def _free(folder: Path, *, fresh: bool) -> None:
    """Raise InputError for a folder with a training; `fresh` discards it."""
    from nasbench_evo.errors import InputError

    there = [path for path in (folder / WEIGHTS, folder / RESULT) if path.exists()]
    if there and not fresh:
        raise InputError(
            f"{folder} holds a training already. --resume goes on with it, --fresh discards it; "
            "or choose another --out."
        )
    for path in there:
        path.unlink()


def _teacher(trainer: StandaloneEvaluator, folder: Path) -> Path | None:
    """Return the file of the teacher that is configured, trained if it is not there; or None."""
    if trainer.teacher is None:
        return None
    say(f"Teacher of {trainer.teacher.networks} networks in {folder}")
    return trainer.teacher.file(folder)


def _print_final(content: dict[str, Any]) -> None:
    out(f"{content['arch']}\n")
    out(f"  status          {content['status']} {content['reason']}")
    for split in ("valid", "test"):
        accuracy = content[split + "_accuracy"]
        text = "none" if accuracy is None else f"{accuracy:.3f} %"
        out(f"  {split + ' accuracy':14}  {text}")
    if "teacher_valid_accuracy" in content:
        known, own = content["teacher_valid_accuracy"], content["valid_accuracy"] or 0.0
        if known is not None:
            weaker = ", weaker than its student" * (own > known)
            out(f"  its teacher     {known:.3f} % valid{weaker}")
    out(f"  parameters      {content['parameters'] / 1e6:.3f} M")
    out(f"  training time   {content['seconds']:.1f} s")
    for name, value in content.get("svm", {}).items():
        out(f"  SVM {name}  {value}")


def build(
    dataset: Dataset = "digits",
    space: SpaceName = "nasbench201",
    cells: Annotated[
        str, typer.Option(help="all, unique (one of each isomorphism class), or that many.")
    ] = "unique",
    trials: Annotated[int, typer.Option(min=1, help="Trainings of each cell.")] = 1,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Length of training (default: the recipe's).")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes a device.")] = 1,
    devices: Devices = "cpu",
    settings_: Settings = None,
    name: Annotated[str | None, typer.Option(help="The table's name (default: DATASET).")] = None,
    log: Annotated[
        Path | None, typer.Option(help="Log of trainings (default results/tables/NAME.jsonl).")
    ] = None,
    share: Annotated[
        bool, typer.Option(help="Let cells that compute the same share their trials.")
    ] = True,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a table there.")] = False,
    pack: Annotated[
        Path | None, typer.Option(help="Also write the table compressed, to NAME.table.xz.")
    ] = None,
) -> None:
    """Train cells for real and make a lookup table of them.

    Every finished training is kept in the log: after an interruption, or to add cells or trials,
    run the command again. Then the table is there as `--table NAME`.
    """
    from nasbench_evo.evaluators import table_builder
    from nasbench_evo.tables import bundled, imported

    table = name or dataset
    where = log or RESULTS / "tables" / f"{table}.jsonl"
    assignments = [*table_builder.DEFAULTS.get(dataset, ()), *(settings_ or [])]
    if epochs is not None:
        assignments.append(f"epochs={epochs}")
    trainer = standalone(space, dataset, assignments, devices, workers, None)
    imported.free_path(table, replace=replace)  # fails before the long part
    chosen = table_builder.chosen_cells(cells)
    try:
        with progress("trainings", len(chosen) * trials, 0) as advance:
            table_builder.build(trainer, chosen, trials, where, advance)
    finally:
        trainer.close()
    source = table_builder.source(trainer, where, share=share)
    collector = table_builder.collect(trainer, where, share=share)
    file = imported.save(collector, table, source, replace=replace)
    say(f"{source['label']}\nTable {table} ({file.stat().st_size / 1e6:.1f} MB): {file}")
    if pack is not None:
        packed = bundled.pack(table, pack)
        say(f"Packed ({packed.stat().st_size / 1e6:.1f} MB): {packed}")
