"""A run on shared weights: epochs of training, individuals measured in between, all replayable."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.errors import DataError, Unsupported
from nasbench_evo.evaluators import probing
from nasbench_evo.evaluators.journal import FILE, Journal
from nasbench_evo.evaluators.supernet_plan import SupernetPlan
from nasbench_evo.randomness import seed_sequence, stream
from nasbench_evo.requests import (
    Evaluate,
    EvaluateMixtures,
    Evaluation,
    MeasurePaths,
    Request,
    TrainBilevel,
    Training,
    TrainMixture,
    TrainPaths,
)
from nasbench_evo.spaces.base import Genotype
from nasbench_evo.training import Dataset, checkpoint
from nasbench_evo.training.individuals import threads
from nasbench_evo.training.results import chance, memory_note
from nasbench_evo.training.supernet import SupernetTraining

CHECKPOINT = "supernet.pt"
_Measured = list[tuple[float, float]]  # (accuracy in percent, cross-entropy)


class SupernetSession:
    """One run: its shared weights, its journal, and what was measured along the way."""

    def __init__(
        self,
        plan: SupernetPlan,
        data: Dataset,
        seed: int,
        *,
        identity: Mapping[str, Any],
        folder: Path | None = None,
        checkpoint_every: int = 1,
        probe: probing.Probe | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self.notes: dict[str, Any] = {
            "weights": "shared",
            "batch_norm": plan.measurement.batch_norm,
        }
        self._plan = plan
        self._data = data
        self._seed = seed
        self._checkpoint_every = checkpoint_every
        self._probe = probe
        self._origin = dict(origin or {})
        path = None if folder is None else folder / FILE
        self._journal = Journal(path, {"seed": seed, **identity})
        self._checkpoint = None if folder is None else folder / CHECKPOINT
        self._training = self._restored()
        self._accuracy = plan.accuracy(self._training.model, data)
        self._epoch = 0  # of the search; the restored weights may be ahead of it
        self._asked = 0
        self._images = 0  # the request that drew the images which are measured on
        self._measured_aside = 0
        self._unpaid = 0.0  # seconds of training since the last individuals were measured
        self._probes: list[tuple[int, list[float]]] = []
        self._fitness: dict[int, list[float]] = {}  # what was measured in each epoch, percent

    def _restored(self) -> SupernetTraining:
        """Return the training of the checkpoint, or a new one.

        New also where the journal was lost, or cut back to before that checkpoint: what was
        measured on the way to it has to be measured again.
        """
        made = self._plan.training(self._data, self._seed)
        if self._checkpoint is None or not self._checkpoint.exists():
            return made
        made.load(self._checkpoint)
        if self._journal.answer(_key(made.epoch)) is not None:
            return made
        return self._plan.training(self._data, self._seed)

    def answer(self, request: Request) -> Any:
        """Train or measure, or replay that; return evaluations, or what a TrainBilevel moved.

        Raises Unsupported for landmarks, teachers, and what the supernet cannot do; DataError where
        a replay differs.
        """
        if isinstance(request, MeasurePaths):
            with threads(self._plan.threads):
                return self._measure_aside(request)
        self._asked += 1
        if not getattr(request, "same_images", False):
            self._images = self._asked
        with threads(self._plan.threads):
            if isinstance(request, Evaluate):
                return self._evaluate(request)
            if isinstance(request, EvaluateMixtures):
                return self._evaluate_mixtures(request)
            return self._train(request)

    # -- training --------------------------------------------------------------------------

    def _train(self, request: Training) -> Any:
        """Train for an epoch, unless the restored weights have had it."""
        self._journal.ask(_plain(request))
        self._epoch += 1
        key = _key(self._epoch)
        if self._epoch > self._training.epoch:
            answer = self._trained(request)
            if self._journal.answer(key) is None:
                self._journal.record(key, answer)
            self._save()
        elif isinstance(request, TrainPaths):  # a sampler may go on from epoch to epoch
            rng = stream(self._seed, "paths", self._epoch)
            for _ in range(self._training.stream.per_epoch):
                request.sample(rng)
        answer = self._recorded(key)
        self._unpaid += answer["seconds"]
        if answer["probe"] is not None:
            self._probes.append((self._epoch, answer["probe"]))
            self.notes[probing.NOTE] = list(self._probes)
        if answer["problem"]:
            self.notes["status"] = answer["problem"]
        if answer.get("memory"):  # journals of earlier versions do not say
            self.notes["memory"] = answer["memory"]
        if not isinstance(request, TrainBilevel):
            return []
        alpha = np.array(answer["alpha"])
        return alpha if request.edges is None else (alpha, np.array(answer["edges"]))

    def _trained(self, request: Training) -> dict[str, Any]:
        """Train for an epoch; return what the journal keeps of it."""
        training = self._training
        logits: dict[str, Any] = {"alpha": None}
        if isinstance(request, TrainPaths):
            rng = stream(self._seed, "paths", self._epoch)
            report = training.train_paths(lambda: request.sample(rng))
        elif isinstance(request, TrainMixture):
            report = training.train_mixture(*request)
        else:
            report, *moved = training.train_bilevel(*request)
            pairs = zip(("alpha", "edges"), moved, strict=False)
            logits = {name: values.tolist() for name, values in pairs}
        return {
            "seconds": report.seconds,
            "train_accuracy": _finite(report.train_accuracy),
            "train_loss": _finite(report.train_loss),
            **logits,
            "probe": self._probed(),
            "problem": training.problem,
            "memory": memory_note(training.progress.batch_splits),
        }

    def _probed(self) -> list[float] | None:
        """Return the accuracies of the probed genotypes, where they are due."""
        probe = self._probe
        if probe is None or not probe.due(self._epoch, round(self._plan.recipe.length)):
            return None
        genotypes = probing.genotypes(self._plan.space, probe.cells)
        measured = self._measured(
            lambda seed: self._accuracy.of_paths(genotypes, seed), len(genotypes)
        )
        return [accuracy for accuracy, _ in measured]

    def _save(self) -> None:
        """Write the checkpoint, with what is needed to measure genotypes with its weights."""
        last = self._epoch >= self._plan.recipe.length
        due = last or self._epoch % self._checkpoint_every == 0
        if self._checkpoint is not None and due:
            origin = {**self._origin, "seed": self._seed}
            checkpoint.save({**self._training.state(), "origin": origin}, self._checkpoint)

    # -- measuring -------------------------------------------------------------------------

    def _evaluate(self, request: Evaluate) -> list[Evaluation]:
        if request.fraction != 1 or request.teacher is not None or request.continues is not None:
            raise Unsupported(
                "Shared weights know neither landmarks nor teachers: every individual is as far "
                "trained as the supernet. Use extinction=false and mimicry=false, or the "
                "standalone evaluator."
            )
        genotypes = [self._plan.space.validate(genotype) for genotype in request.genotypes]
        how = [name for name in ("whole", "running") if getattr(request, name)]
        self._journal.ask(["evaluate", genotypes, *how])
        accuracy = self._accuracy
        if how:
            own = self._plan.measurement.changed(whole=request.whole, running=request.running)
            plan = replace(self._plan, measurement=own)
            accuracy = plan.accuracy(self._training.model, self._data)
        if not request.running:
            return self._answers(genotypes, lambda seed: accuracy.of_paths(genotypes, seed))
        return self._answers(
            genotypes,
            lambda seed: [accuracy.of_paths([g], seed + i)[0] for i, g in enumerate(genotypes)],
        )

    def _measure_aside(self, request: MeasurePaths) -> list[Evaluation]:
        """Measure for a note: on images of its own, so that the search stays what it was."""
        genotypes = [self._plan.space.validate(genotype) for genotype in request.genotypes]
        self._journal.ask(["measure paths", genotypes])
        self._measured_aside += 1
        key = f"aside {self._measured_aside}"
        if self._journal.answer(key) is None:
            if self._training.epoch > self._epoch:
                self._recorded(key)  # the weights of that time are gone
            started = time.perf_counter()
            measured = self._measured(
                lambda seed: self._accuracy.of_paths(genotypes, seed), len(genotypes), aside=True
            )
            seconds = time.perf_counter() - started
            self._journal.record(key, {"measured": measured, "seconds": seconds})
        answer = self._recorded(key)
        self._unpaid += answer["seconds"]
        return [
            Evaluation(genotype, accuracy, loss, 0.0, 1.0, "supernet", 0.0)
            for genotype, (accuracy, loss) in zip(genotypes, answer["measured"], strict=True)
        ]

    def _evaluate_mixtures(self, request: EvaluateMixtures) -> list[Evaluation]:
        again = ["same images"] if request.same_images else []
        asked = ["evaluate mixtures", _digest(request.alphas), *_weighed(request), *again]
        self._journal.ask(asked)
        genotypes = request.discretized(self._plan.space)
        weights = self._training.weights(request.alphas)
        if request.edges is None:
            return self._answers(genotypes, lambda seed: self._accuracy.of_mixtures(weights, seed))
        edges = self._training.edge_weights(request.edges)
        return self._answers(
            genotypes, lambda seed: self._accuracy.of_weighed(weights, edges, seed)
        )

    def _answers(self, genotypes: list[Genotype], measure: Any) -> list[Evaluation]:
        """Return the evaluations, from the journal or measured now."""
        key = f"request {self._asked}"
        if self._journal.answer(key) is None:
            if self._training.epoch > self._epoch:
                self._recorded(key)  # the weights of that time are gone
            started = time.perf_counter()
            measured = self._measured(measure, len(genotypes))
            seconds = time.perf_counter() - started + self._unpaid
            self._journal.record(key, {"measured": measured, "seconds": seconds})
        answer = self._recorded(key)
        self._note_fitness([accuracy for accuracy, _ in answer["measured"]])
        self._unpaid = 0.0
        each = answer["seconds"] / len(genotypes)
        return [
            Evaluation(genotype, accuracy, loss, each, 1.0, "supernet", 1.0)
            for genotype, (accuracy, loss) in zip(genotypes, answer["measured"], strict=True)
        ]

    def _note_fitness(self, accuracies: list[float]) -> None:
        """Keep what was measured in this epoch, for the figure of fitness by epoch."""
        self._fitness.setdefault(self._epoch, []).extend(accuracies)
        rows = [(e, max(v), sum(v) / len(v), min(v)) for e, v in self._fitness.items()]
        self.notes[probing.FITNESS] = rows

    def _measured(self, measure: Any, n: int, *, aside: bool = False) -> _Measured:
        """Return what `measure(seed)` gives; chance where weights or logits are not finite."""
        lost = chance(self._data.classes)
        if self._training.problem:
            return [lost] * n
        purpose, index = ("validation", self._images)
        if aside:
            purpose, index = ("validation aside", self._measured_aside)
        sequence = seed_sequence(self._seed, purpose, index)
        found: _Measured = measure(int(sequence.generate_state(1, np.uint64)[0] >> 1))
        return [one if math.isfinite(one[1]) else lost for one in found]

    def _recorded(self, key: str) -> dict[str, Any]:
        answer = self._journal.answer(key)
        if answer is None:
            raise DataError(
                f"{self._checkpoint} has {self._training.epoch} epochs, but the journal beside it "
                f"lacks {key}. Remove both to train this run again."
            )
        return answer


def _key(epoch: int) -> str:
    """Return the journal's name of an epoch's training."""
    return f"epoch {epoch}"


def _plain(request: Training) -> list[Any]:
    """Return what tells a training request from another, as plain JSON."""
    if isinstance(request, TrainPaths):
        return ["paths"]
    alpha = _digest(request.alpha)
    if isinstance(request, TrainMixture):
        return ["mixture", alpha, *_weighed(request)]
    return ["bilevel", alpha, request.learning_rate, request.weight_decay, *_weighed(request)]


def _weighed(request: TrainMixture | TrainBilevel | EvaluateMixtures) -> list[str]:
    """Return what tells the weights of edges; nothing where they are not weighed."""
    return [] if request.edges is None else [_digest(request.edges)]


def _digest(values: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
