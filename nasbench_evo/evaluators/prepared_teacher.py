"""The teacher that mimicry distils from, trained where it is not there yet."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path

from nasbench_evo.errors import Unsupported
from nasbench_evo.files import digest
from nasbench_evo.training import recipes
from nasbench_evo.training.individuals import TrainingPlan, threads
from nasbench_evo.training.teachers import Teacher


class PreparedTeacher:
    """A teacher on the data of a plan; its file lies in `folder`, or goes with this object."""

    def __init__(
        self, teacher: Teacher, plan: TrainingPlan, device: str, folder: Path | None
    ) -> None:
        self.networks = teacher.networks
        self._teacher = teacher
        self._plan = plan
        self._device = device
        self._folder = folder

    def file(self, folder: Path | None = None) -> Path:
        """Return the file of the trained teacher; train it first where there is none."""
        dataset = self._plan.data.load(self._device)
        key = digest([recipes.identity(self._teacher), dataset.sha256])[:16]
        parent = folder or self._folder or self._scratch
        with threads(self._plan.threads):
            return self._teacher.train(dataset, parent / f"teacher-{key}.pt")

    def accuracy(self, folder: Path | None = None) -> float | None:
        """Return the accuracy of that teacher on the validation part, percent; None without one."""
        path = self.file(folder)
        if not self._plan.data.valid_fraction:
            return None
        with threads(self._plan.threads):
            return self._teacher.accuracy(path, self._plan.data.load(self._device))

    @cached_property
    def _scratch(self) -> Path:
        folder = tempfile.mkdtemp(prefix="nasbench_evo-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


def required(teacher: PreparedTeacher | None) -> PreparedTeacher:
    """Return the teacher; raise Unsupported where none is configured."""
    if teacher is None:
        raise Unsupported(
            "This evaluator has no teacher to distil from (mimicry). Set teacher_networks=4, "
            "or use mimicry=false."
        )
    return teacher
