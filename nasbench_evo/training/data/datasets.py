"""Data sets behind one interface: `load_dataset(name)`. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasbench_evo.errors import DataError, InputError, unknown
from nasbench_evo.randomness import seed_sequence
from nasbench_evo.training.data.formats import DIGESTS
from nasbench_evo.training.data.images import FolderPart, Part, TensorPart
from nasbench_evo.training.data.sources import SOURCES, Raw, RawFiles

_TEST_SEED = 0  # data without an official test part: its test part never depends on split_seed
_STATISTICS_IMAGES = 4096  # of a folder of files, mean and std are taken on at most this many


@dataclass(frozen=True)
class Dataset:
    """A data set split in three; accuracies for a search come from `valid`, never from `test`."""

    name: str
    classes: int
    train: Part
    valid: Part
    test: Part
    mean: tuple[float, ...]  # per channel, on the train part, pixels scaled to 0..1
    std: tuple[float, ...]
    split_seed: int
    sha256: str  # of the images (or file names), labels and the split

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return self.train.shape


def load_dataset(
    name: str = "digits",
    *,
    root: str | Path | None = None,
    split_seed: int = 0,
    valid_fraction: float = 0.2,
    valid_source: Literal["train", "test"] = "train",
    train_size: int | None = None,
    valid_per_class: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
    image_size: int = 64,
    workers: int = 2,
    digests: Mapping[str, str] = DIGESTS,
) -> Dataset:
    """Return a data set with its tensors on `device`, split class by class by `split_seed`.

    `root` (default: the environment variable NASBENCH_EVO_DATA) is the folder that holds the
    files. `valid_fraction` of the images of `valid_source` become the validation part: of the
    official training images, or of the official test images, which is what NAS-Bench-201 does
    for cifar100 and ImageNet16-120 (Dong and Yang 2020, section 2.2; what is left of them is
    then `test`). With 0 there is no validation part: all training images train, as in the papers'
    final trainings. `valid_per_class` takes a fixed number of each class instead, one number for
    each official part of the training images: 400 and 200 of svhn-extra's two are the split of
    Genetic CNN (Xie and Yuille 2017, section 4.2). `train_size` keeps only that many training
    images. `image_size` and `workers` are for folders of image files (imagenet, caltech256).
    `digests` maps an official file to its MD5: give your own table only for files that you made
    yourself.

    Raises InputError on an unknown name or a wrong option, DataError on a missing or damaged
    file, telling which file goes where.
    """
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    _check_options(valid_fraction, valid_source, train_size, image_size, workers)
    if valid_per_class is not None and valid_source != "train":
        raise InputError("valid_per_class is of training images; got valid_source='test'.")
    raw = SOURCES[name](root, digests)
    validating = valid_fraction if valid_per_class is None else tuple(valid_per_class)
    indices = _split(raw, split_seed, validating, valid_source, train_size)
    train, valid, test = (
        _part(raw, of_part, torch.device(device), image_size, workers) for of_part in indices
    )
    mean, std = _statistics(train)
    found = hashlib.sha256(f"{name} {raw.classes}".encode())
    for part in (train, valid, test):
        found.update(part.digest())
    sha256 = found.hexdigest()
    return Dataset(name, raw.classes, train, valid, test, mean, std, split_seed, sha256)


def _split(
    raw: Raw | RawFiles,
    split_seed: int,
    validating: float | tuple[int, ...],
    valid_source: str,
    train_size: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the images for training, validation and test.

    `validating` is the fraction of each class that validates, or its number in each official part.
    """
    rng = np.random.Generator(np.random.PCG64(seed_sequence(split_seed, "split")))
    train, test = _official_parts(raw)
    source = train if valid_source == "train" else test
    rest, valid = source, source[:0]
    if isinstance(validating, tuple):
        rest, valid = _counted(source, raw, validating, rng)
    elif validating:
        rest, valid = _stratified(source, raw.labels, validating, rng)
    train, test = (rest, test) if valid_source == "train" else (train, rest)
    if train_size is not None:
        if train_size > len(train):
            raise InputError(f"train_size is at most {len(train)} here; got {train_size}.")
        train = np.sort(rng.permutation(train)[:train_size])
    return train, valid, test


def _check_options(
    valid_fraction: float, valid_source: str, train_size: int | None, image_size: int, workers: int
) -> None:
    if not 0 <= valid_fraction < 1:
        raise InputError(f"valid_fraction is 0 or more and below 1; got {valid_fraction}.")
    if valid_source not in ("train", "test"):
        raise InputError(f"valid_source is 'train' or 'test'; got {valid_source!r}.")
    if valid_source == "test" and not valid_fraction:
        raise InputError("valid_source='test' says where validation images come from; got none.")
    if train_size is not None and train_size < 1:
        raise InputError(f"train_size is at least 1; got {train_size}.")
    if image_size < 1 or workers < 0:
        raise InputError(
            f"image_size is at least 1 and workers at least 0; got {image_size} and {workers}."
        )


def _official_parts(raw: Raw | RawFiles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training and test images; a fifth is test if none is official."""
    everything = np.arange(len(raw.labels))
    if raw.n_train is not None:
        return everything[: raw.n_train], everything[raw.n_train :]
    rng = np.random.Generator(np.random.PCG64(seed_sequence(_TEST_SEED, "test split")))
    return _stratified(everything, raw.labels, 0.2, rng)


def _stratified(
    indices: NDArray[np.int64],
    labels: NDArray[np.int64],
    fraction: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (the rest, `fraction` of each class), both sorted."""
    shuffled = rng.permutation(indices)
    taken = np.zeros(len(labels), bool)
    for label in np.unique(labels[indices]):
        of_class = shuffled[labels[shuffled] == label]
        taken[of_class[: round(fraction * len(of_class))]] = True
    chosen = taken[indices]
    if chosen.all() or not chosen.any():
        raise DataError(
            f"{len(indices)} images are too few to set {fraction:g} of each class apart; "
            "choose another fraction or check the files."
        )
    return np.sort(indices[~chosen]), np.sort(indices[chosen])


def _counted(
    indices: NDArray[np.int64],
    raw: Raw | RawFiles,
    counts: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (the rest, `counts[i]` images of each class in the i-th official part), both sorted.

    Raises InputError for another number of parts, or a part that has too few of a class.
    """
    sizes = (raw.files if isinstance(raw, Raw) else ()) or (len(indices),)
    if len(counts) != len(sizes):
        raise InputError(
            f"valid_per_class needs a number for each of the {len(sizes)} official parts of these "
            f"training images; got {', '.join(map(str, counts))}."
        )
    chosen: list[NDArray[np.int64]] = []
    parts = np.split(indices, np.cumsum(sizes)[:-1])
    for count, part in zip(counts, parts, strict=True):
        shuffled = rng.permutation(part)
        for label in range(raw.classes):
            of_class = shuffled[raw.labels[shuffled] == label]
            if not 0 <= count < len(of_class):
                raise InputError(
                    f"valid_per_class is 0 or more and below the {len(of_class)} images that a "
                    f"part has of class {label}; got {count}."
                )
            chosen.append(of_class[:count])
    valid = np.sort(np.concatenate(chosen))
    if not len(valid):
        raise InputError("valid_per_class leaves no image to validate on; give one of each class.")
    return np.setdiff1d(indices, valid), valid


def _part(
    raw: Raw | RawFiles,
    indices: NDArray[np.int64],
    device: torch.device,
    image_size: int,
    workers: int,
) -> Part:
    labels = torch.from_numpy(raw.labels[indices]).to(device)
    if isinstance(raw, RawFiles):
        paths = tuple(raw.paths[i] for i in indices.tolist())
        return FolderPart(paths, labels, raw.root, image_size, workers)
    return TensorPart(torch.from_numpy(raw.images[indices]).to(device), labels)


def _statistics(part: Part) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and population standard deviation per channel, of pixels scaled to 0..1."""
    channels, device = part.shape[0], part.labels.device
    total = torch.zeros(channels, dtype=torch.float64, device=device)
    squares, count = torch.zeros_like(total), 0
    indices: Tensor = torch.arange(len(part), device=device)
    if isinstance(part, FolderPart):
        indices = indices[:: -(-len(part) // _STATISTICS_IMAGES)]
    for images, _ in part.batches(torch.split(indices, 1024)):
        pixels = images.double() / 255
        total += pixels.sum((0, 2, 3))
        squares += pixels.square().sum((0, 2, 3))
        count += pixels.numel() // channels
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    std[std < 1e-6] = 1.0  # a constant channel carries nothing; do not divide by 0
    return tuple(mean.tolist()), tuple(std.tolist())
