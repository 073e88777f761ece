"""The doctor: what it finds on an emulated GPU, what it times, and that it sees what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.fake_cuda import fake_cuda
from typer.testing import CliRunner

from nasbench_evo.cli import app
from nasbench_evo.cli import doctor as command
from nasbench_evo.errors import InputError
from nasbench_evo.networks.nasbench201 import mixtures
from nasbench_evo.training import doctor
from nasbench_evo.training.doctor import checks, timings

pytestmark = pytest.mark.torch

FAST = ("network nasbench201", "paths nasbench201", "out of memory", "checkpoint read on the CPU")
ON_A_GPU = ("no wait inside a step", "checkpoint read on the CPU")


def test_a_gpu_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is quick; the rest is in `test_fake_cuda`, two processes have no emulation."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(checks, "_RECIPE", checks.replace(checks._RECIPE, length=4))
    with fake_cuda():
        found = {f.name: f for f in doctor.examine("cuda:0", ON_A_GPU)}
    assert {name: f.status for name, f in found.items()} == dict.fromkeys(ON_A_GPU, "pass"), found


def test_a_cpu_passes_and_says_what_it_has_not() -> None:
    found = {f.name: f for f in doctor.examine("cpu", (*FAST, "no wait inside a step"))}
    assert {found[name].status for name in FAST} == {"pass"}
    assert found["no wait inside a step"].status == "skipped"


def test_a_wrong_network_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A population that is a little off, by more than rounding."""
    right = mixtures.MixturePopulation.logits

    def wrong(self: mixtures.MixturePopulation, images: torch.Tensor) -> torch.Tensor:
        return right(self, images) * (1 + 1e-6)

    monkeypatch.setattr(mixtures.MixturePopulation, "logits", wrong)
    (found,) = doctor.examine("cpu", ["mixtures nasbench201"])
    assert found.status == "fail"
    assert "is rounding" in found.detail


def test_a_read_inside_a_step_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    step: Callable[..., None] = checks.Training._step

    def reads(self: checks.Training, *batch: torch.Tensor) -> None:
        step(self, *batch)
        self.totals.tolist()

    monkeypatch.setattr(checks.Training, "_step", reads)
    with fake_cuda():
        (found,) = doctor.examine("cuda", ["no wait inside a step"])
    assert found.status == "fail"
    assert "synchronizing" in found.detail


def test_timings_compare_pairs() -> None:
    size = timings.Size(2, 1, 8, 4, (2,))
    found = list(timings.measure(torch.device("cpu"), size))
    assert [one.what.split()[0] for one in found] == ["bf16", "channels_last", "2", "population"]
    assert all(one.ratio > 0 for one in found)


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(device: torch.device) -> str:
        raise RuntimeError("no kernel image is available")

    few = {"network nasbench201": doctor.CHECKS["network nasbench201"]}
    monkeypatch.setattr(doctor.report, "__defaults__", (list(few),))
    run = CliRunner().invoke(app, ["doctor", "--no-timings", "--json", "--out", str(tmp_path)])
    assert run.exit_code == 0, run.output
    content = json.loads((tmp_path / "cpu.json").read_text())
    assert [f["status"] for f in content["findings"]] == ["pass"]
    assert content["machine"]["torch"] == torch.__version__

    monkeypatch.setattr(doctor, "CHECKS", {"network nasbench201": broken})
    run = CliRunner().invoke(app, ["doctor", "--no-timings"])
    assert run.exit_code == 1
    assert "no kernel image" in run.output
    assert "relative to the largest value" in run.output  # what the marks mean


def test_speeds_say_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    timing = {"what": "bf16", "than": "fp32", "ratio": 0.5}
    command._print({"machine": {"device": "cpu"}, "findings": [], "timings": [timing]})
    assert "above 1 the first is faster" in capsys.readouterr().out


def test_a_gpus_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "torch.utils.collect_env.get_nvidia_driver_version"
    monkeypatch.setattr(asked, lambda run: "570.1")
    with fake_cuda():
        found = doctor.machine(torch.device("cuda", 0))
    assert (found["driver"], found["tf32"], found["name"]) == ("570.1", True, "emulated GPU")


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(InputError, match="There is no device cuda:3"):
        list(doctor.examine("cuda:3"))
