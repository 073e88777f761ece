"""Builds small files in the official schema: plain dictionaries, no torch needed."""

from __future__ import annotations

import bz2
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo.spaces import NASBench201

SPLITS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("ori-test", "x-valid", "x-test"),
    "ImageNet16-120": ("ori-test", "x-valid", "x-test"),
}
IMAGES = {"x-valid": 5000, "x-test": 5000, "ori-test": 10_000, "train": 25_000}


def archs(n: int) -> list[str]:
    """Different cells, spread over the space."""
    space = NASBench201()
    return [space.format(space.from_index((i * 7919) % 15_625)) for i in range(n)]


def trial(
    rng: np.random.Generator, training: str, seed: int, epochs: int, arch: str, *, old: bool
) -> dict[str, Any]:
    """One trial; an `old` one has x-valid and x-test after the last epoch only."""

    def curve(split: str) -> dict[Any, float]:
        total = IMAGES[split] if training != "ImageNet16-120" or split == "train" else 3000
        return {e: 100 * int(rng.integers(total)) / total for e in range(epochs)}

    def losses() -> dict[int, float]:
        return {e: float(rng.random() * 3) for e in range(epochs)}

    per_epoch = float(rng.random() * 20)
    state: dict[str, Any] = {
        "name": training,
        "net_state_dict": None,
        "train_acc1es": curve("train"),
        "train_acc5es": curve("train"),
        "train_losses": losses(),
        "train_times": dict.fromkeys(range(epochs), per_epoch),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": arch, "class_num": 10},
        "params": np.float64(rng.random()),
        "flop": float(rng.random() * 100),
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [float(rng.random()) + 0.001],
        "eval_names": [],
        "eval_acc1es": {},
        "eval_times": {},
        "eval_losses": {},
    }
    for split in SPLITS[training]:
        state["eval_names"].append(split)
        acc, loss, seconds = curve(split), losses(), float(rng.random())
        only_last = old and training in ("cifar100", "ImageNet16-120") and split != "ori-test"
        for epoch in range(epochs):
            key = f"{split}@{epoch}"
            if not only_last or epoch == epochs - 1:
                state["eval_acc1es"][key] = acc[epoch]
                state["eval_losses"][key] = loss[epoch]
            state["eval_times"][key] = seconds
    return state


def results(
    rng: np.random.Generator, index: int, arch: str, seeds: tuple[int, ...], epochs: int, old: bool
) -> dict[str, Any]:
    """All trials of one cell with one recipe."""
    return {
        "arch_index": index,
        "arch_str": arch,
        "all_results": {
            (training, seed): trial(rng, training, seed, epochs, arch, old=old)
            for seed in seeds
            for training in SPLITS
        },
        "dataset_seed": {training: sorted(seeds) for training in SPLITS},
        "clear_net_done": True,
    }


def content(
    n: int, *, epochs: tuple[int, int] = (2, 4), names: tuple[str, str] = ("less", "full")
) -> dict[str, Any]:
    """The root dictionary of a file of `n` cells."""
    rng = np.random.default_rng(n)
    cells = archs(n)
    infos = {
        index: {
            names[1]: results(rng, index, arch, (777, 888, 999)[: 1 + index % 3], epochs[1], True),
            names[0]: results(rng, index, arch, (111, 777), epochs[0], False),
        }
        for index, arch in enumerate(cells)
    }
    return {"meta_archs": cells, "arch2infos": infos, "evaluated_indexes": set(range(n))}


def legacy(root: Any) -> bytes:
    """What torch.save wrote before 1.6."""
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    parts = (0x1950A86A20F9469CFC6C, 1001, info, root, [])
    return b"".join(pickle.dumps(part, 2) for part in parts)


def write_zip(path: Path, root: Any) -> Path:
    """What torch.save writes today."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(root, 2))
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/version", b"3\n")
    return path


def write_legacy(path: Path, root: Any) -> Path:
    """A legacy torch.save file."""
    path.write_bytes(legacy(root))
    return path


def write_bz2(path: Path, root: Any) -> Path:
    """A NATS-Bench file."""
    path.write_bytes(bz2.compress(pickle.dumps(root, 4)))
    return path


def write_folder(folder: Path, root: dict[str, Any]) -> Path:
    """A NATS-Bench folder."""
    folder.mkdir()
    meta = {**root, "arch2infos": None, "evaluated_indexes": set()}
    write_bz2(folder / "meta.pickle.pbz2", meta)
    for index, entry in root["arch2infos"].items():
        write_bz2(folder / f"{index:06d}.pickle.pbz2", entry)
    return folder
