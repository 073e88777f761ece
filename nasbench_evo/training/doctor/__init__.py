"""Proves an installation: what is computed on a device equals what it must, and how fast it is.

A check raises where it fails; what it returns says what was compared. Nothing is read but the data
set that comes with scikit-learn.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from nasbench_evo.training.doctor import checks, timings
from nasbench_evo.training.execution import check_device
from nasbench_evo.training.individuals import threads

CHECKS: Mapping[str, Callable[[torch.device], str]] = {
    **{f"network {space}": checks.of_network(space) for space in checks.NETWORKS},
    "joint training": checks.joint,
    **{f"paths {space}": checks.of_paths(space) for space in checks.SUPERNETS},
    **{f"mixtures {space}": checks.of_mixtures(space) for space in checks.MIXTURES},
    "fp32, 40 steps": checks.of_precision("fp32"),
    "bf16, 40 steps": checks.of_precision("bf16"),
    "fp16, 40 steps": checks.of_precision("fp16"),
    "no wait inside a step": checks.no_wait,
    "30% and resumed": checks.resumed,
    "out of memory": checks.out_of_memory,
    "two slots": checks.two_slots,
    "checkpoint read on the CPU": checks.checkpoint,
}


@dataclass(frozen=True)
class Finding:
    """A row of the report: `status` is pass, fail, or skipped; `detail` says what was compared."""

    name: str
    status: str
    detail: str
    seconds: float


def machine(device: torch.device) -> dict[str, Any]:
    """Return what the findings are of: device, driver, versions, how fp32 rounds."""
    found: dict[str, Any] = {
        "device": str(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        found |= {
            "name": torch.cuda.get_device_name(device),
            "driver": _driver(),
            "capability": list(torch.cuda.get_device_capability(device)),
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "memory_free": free,
            "memory": total,
            "tf32": True,  # what Execution sets unless it is deterministic
        }
    return found


def _driver() -> str | None:
    """Return the version of NVIDIA's driver; None where nvidia-smi is not there to tell."""
    from torch.utils import collect_env

    version: str | None = collect_env.get_nvidia_driver_version(collect_env.run)  # type: ignore[no-untyped-call]
    return version


def examine(name: str, only: Iterable[str] = CHECKS) -> Iterator[Finding]:
    """Yield the findings of the named checks on a device, as they are made.

    A check that raises has failed: what it raised is the detail, and the others go on. Raises
    InputError for a device that is not there.
    """
    check_device(name)
    device = torch.device(name)
    for check in only:
        started = time.perf_counter()
        try:
            with threads(1), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                status, detail = "pass", CHECKS[check](device)
        except checks.NotHere as reason:
            status, detail = "skipped", str(reason)
        except Exception as error:  # whatever is wrong with an installation is what we look for
            status, detail = "fail", f"{type(error).__name__}: {error}".splitlines()[0]
        yield Finding(check, status, detail, time.perf_counter() - started)


def report(
    name: str, timed: bool, tell: Callable[[str], None], only: Iterable[str] = CHECKS
) -> dict[str, Any]:
    """Return machine, findings and timings as plain JSON; `tell` is told of each as it is made.

    Raises InputError for a device that is not there.
    """
    findings, measured = [], []
    for finding in examine(name, only):
        tell(f"{finding.status:8}{finding.name}: {finding.detail} ({finding.seconds:.1f} s)")
        findings.append(asdict(finding))
    device = torch.device(name)
    if timed:
        with threads(1):
            for timing in timings.measure(device):
                tell(f"{timing.what}: {timing.ratio:.2f} times as fast as {timing.than}")
                measured.append({**timing._asdict(), "ratio": timing.ratio})
    return {"machine": machine(device), "findings": findings, "timings": measured}


__all__ = ["CHECKS", "Finding", "examine", "report"]
