"""What suites at the papers' scale say in their files of their price is what a dry run says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nasbench_evo import suite as suites
from nasbench_evo.evaluators.supernet_plan import SupernetPlan
from nasbench_evo.suite import price
from nasbench_evo.training import price as steps

pytestmark = pytest.mark.torch

SUITES = Path(__file__).parents[2] / "suites"
STATING = (
    "eg_nas_cifar10",
    "eg_nas_cifar100",
    "eg_nas_imagenet",
    "eg_nas_nb201",
    "eigen_cifar10",
    "genetic_cnn_cifar10",
    "genetic_cnn_wrn",
    "genetic_nas_cifar10",
    "genetic_nas_cifar100",
)
_STATED = re.compile(r"^# +([\d,]+) +([\d.,]+) h  (\S+) +(.+)$", re.MULTILINE)


def stated(name: str) -> dict[tuple[str, str], tuple[int, float]]:
    """Steps and hours of each data set and row, from the comment of a suite's file."""
    found = _STATED.findall((SUITES / f"{name}.toml").read_text())
    return {
        (dataset, row): (int(count.replace(",", "")), float(hours.replace(",", "")))
        for count, hours, dataset, row in found
    }


def priced(name: str, rows: slice = slice(None)) -> dict[tuple[str, str], tuple[int, float]]:
    suite = suites.load(SUITES / f"{name}.toml")
    found = price.prices(suite.model_copy(update={"rows": suite.rows[rows]}))
    return {(p.dataset, p.row): (round(p.steps), p.seconds_gpu / 3600) for p in found}


@pytest.mark.parametrize("name", STATING)
def test_the_stated_steps_are_those_of_a_dry_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(*arguments: object) -> steps.Step:
        return steps.Step(0.0, 0.0, 0.0, 0.0)

    for kind in ("genotypes", "teacher", "shared"):
        monkeypatch.setattr(steps, f"of_{kind}", free)
    monkeypatch.setattr(SupernetPlan, "supernet", free)
    expected = {key: count for key, (count, _) in priced(name).items()}
    assert {key: count for key, (count, _) in stated(name).items()} == expected


def test_every_suite_for_a_gpu_states_its_price() -> None:
    for file in SUITES.glob("*.toml"):
        assert (file.stem in STATING) == ("; for a " in file.read_text()), file.stem


@pytest.mark.parametrize(
    ("name", "rows"), [("genetic_cnn_cifar10", slice(2, 4)), ("eg_nas_nb201", slice(0, 1))]
)
def test_the_stated_hours_are_those_of_a_dry_run(
    name: str, rows: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of first rows, or of networks of their own: a step is measured for the first that has it."""
    for constant, value in (("_FIRST", 2), ("_WORK", 0), ("_TIMES", 1)):
        monkeypatch.setattr(steps, constant, value)  # few images: they are only timed
    for key, (_, hours) in priced(name, rows).items():
        assert stated(name)[key][1] == pytest.approx(hours, rel=0.05)
