"""Where each data set's files are looked for, and how they become arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nasbench_evo.errors import DataError
from nasbench_evo.training.data.formats import (
    Images,
    Labels,
    as_labels,
    batch_images,
    batch_labels,
    check_digest,
    read_batch,
    read_idx,
    read_svhn,
    unpickle,
)

ROOT_VARIABLE = "NASBENCH_EVO_DATA"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Raw:
    """Images in memory; the first `n_train` are for training (None: no official test part).

    `files` are the numbers of images in each official part of those, in order; empty: one part.
    """

    images: Images
    labels: Labels
    n_train: int | None
    classes: int
    files: tuple[int, ...] = ()


@dataclass(frozen=True)
class RawFiles:
    """Image files; the first `n_train` are for training (None: no official test part)."""

    paths: tuple[Path, ...]
    labels: Labels
    n_train: int | None
    classes: int
    root: Path


class Sizes(NamedTuple):
    """What is known of a data set without its files."""

    train: int
    test: int
    shape: tuple[int, int, int]  # channels, height, width
    classes: int


SIZES: Mapping[str, Sizes] = {
    "fashion-mnist": Sizes(60_000, 10_000, (1, 28, 28), 10),
    "cifar10": Sizes(50_000, 10_000, (3, 32, 32), 10),
    "cifar100": Sizes(50_000, 10_000, (3, 32, 32), 100),
    "svhn": Sizes(73_257, 26_032, (3, 32, 32), 10),
    "svhn-extra": Sizes(604_388, 26_032, (3, 32, 32), 10),
    "ImageNet16-120": Sizes(151_700, 6_000, (3, 16, 16), 120),
    "imagenet": Sizes(1_281_167, 50_000, (3, 224, 224), 1000),
}
SCALED = ("imagenet",)  # of these, to what `image_size` says

Root = str | Path | None
Reader = Callable[[Root, Mapping[str, str]], Raw | RawFiles]


def missing(name: str, needed: str, root: Root) -> DataError:
    """Return the error for a data set whose files are not there."""
    where = f"looked in {root}" if root else f"neither root= nor {ROOT_VARIABLE} is set"
    return DataError(
        f"The files of {name} are not there ({where}). Expected: {needed}. Put them into one "
        f"folder and name it in {ROOT_VARIABLE} or root=; nothing is downloaded."
    )


def _find(name: str, needed: str, root: Root, *choices: str) -> Path:
    """Return the first of `choices` that exists below the root folder; else raise DataError."""
    root = root or os.environ.get(ROOT_VARIABLE) or None
    for choice in choices if root else ():
        found = Path(root or "") / choice
        if found.exists():
            return found
    raise missing(name, needed, root)


def _raw(train: tuple[Images, Labels], test: tuple[Images, Labels], classes: int) -> Raw:
    for images, labels in (train, test):
        if len(images) != len(labels):
            raise DataError(f"{len(images)} images but {len(labels)} labels: files do not match.")
    images, labels = np.concatenate([train[0], test[0]]), np.concatenate([train[1], test[1]])
    return Raw(images, labels, len(train[1]), classes)


def digits(root: Root, digests: Mapping[str, str]) -> Raw:
    """Return scikit-learn's digits: 1,797 images [1, 8, 8], their values 0..16 scaled to 0..255."""
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # has none
    except ImportError as error:
        raise DataError("digits needs scikit-learn: pip install 'nasbench-evo[train]'.") from error
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    return Raw(images, as_labels(bunch.target, 10, "digits"), None, 10)


def fashion_mnist(root: Root, digests: Mapping[str, str]) -> Raw:
    """Return Fashion-MNIST (Xiao et al. 2017) from its four gzipped IDX files."""
    needed = (
        "fashion-mnist/{train,t10k}-images-idx3-ubyte.gz and -labels-idx1-ubyte.gz "
        "(or install Debian's dataset-fashion-mnist)"
    )
    try:
        folder = _find("fashion-mnist", needed, root, "fashion-mnist", "FashionMNIST/raw")
    except DataError:
        if not DEBIAN_FASHION_MNIST.exists():
            raise
        folder = DEBIAN_FASHION_MNIST
    parts = []
    for part in ("train", "t10k"):
        files = [folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"]
        if not all(file.exists() for file in files):
            raise missing("fashion-mnist", needed, folder)
        images, labels = map(read_idx, files)
        if images.ndim != 3:
            raise DataError(f"{files[0].name}: expected [n, height, width]; got {images.shape}.")
        parts.append((images[:, None], as_labels(labels, 10, files[1].name)))
    return _raw(parts[0], parts[1], 10)


def _cifar(
    root: Root, digests: Mapping[str, str], classes: int, folder_name: str, parts: list[list[str]]
) -> Raw:
    key = "labels" if classes == 10 else "fine_labels"
    archive_name = f"cifar-{classes}-python.tar.gz"
    needed = f"{archive_name} or the folder {folder_name} that is in it"
    found = _find(f"cifar{classes}", needed, root, folder_name, archive_name)
    folder, archive = found.parent / folder_name, found.parent / archive_name
    if found == archive:
        with archive.open("rb") as file:
            check_digest(file, archive_name, digests)
    read = []
    for members in parts:
        images, labels = [], []
        for member in (f"{folder_name}/{name}" for name in members):
            if found == folder and not (found.parent / member).exists():
                raise missing(f"cifar{classes}", f"the file {member}", found.parent)
            content = read_batch(folder, archive, member, digests)
            images.append(batch_images(content, 3, 32, member))
            labels.append(as_labels(batch_labels(content, key, member), classes, member))
        read.append((np.concatenate(images), np.concatenate(labels)))
    return _raw(read[0], read[1], classes)


def cifar10(root: Root, digests: Mapping[str, str]) -> Raw:
    """Return CIFAR-10 (Krizhevsky 2009) from the python tarball or its extracted folder."""
    batches = [f"data_batch_{i}" for i in range(1, 6)]
    return _cifar(root, digests, 10, "cifar-10-batches-py", [batches, ["test_batch"]])


def cifar100(root: Root, digests: Mapping[str, str]) -> Raw:
    """Return CIFAR-100 with its 100 fine labels, from the python tarball or its folder."""
    return _cifar(root, digests, 100, "cifar-100-python", [["train"], ["test"]])


def _svhn(root: Root, extra: bool) -> Raw:
    names = ["train", *["extra"] * extra, "test"]
    needed = ", ".join(f"svhn/{name}_32x32.mat" for name in names)
    folder = _find("svhn", needed, root, "svhn", "SVHN")
    files = [folder / f"{name}_32x32.mat" for name in names]
    if not all(file.exists() for file in files):
        raise missing("svhn", needed, folder.parent)
    *training, test = map(read_svhn, files)
    train = tuple(np.concatenate(both) for both in zip(*training, strict=True))
    raw = _raw((train[0], train[1]), test, 10)
    return replace(raw, files=tuple(len(labels) for _, labels in training))


def svhn(root: Root, digests: Mapping[str, str]) -> Raw:
    """Return SVHN's cropped digits (Netzer et al. 2011), without the extra training images."""
    return _svhn(root, extra=False)


def svhn_extra(root: Root, digests: Mapping[str, str]) -> Raw:
    """Return SVHN with the extra images among the training images (Genetic CNN, section 4.2)."""
    return _svhn(root, extra=True)


def imagenet16_120(root: Root, digests: Mapping[str, str]) -> Raw:
    """Return ImageNet at 16x16, its first 120 classes (Dong and Yang 2020, section 2.2)."""
    names = [*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data"]
    needed = "ImageNet16/train_data_batch_1 to _10 and ImageNet16/val_data"
    folder = _find("ImageNet16-120", needed, root, "ImageNet16")
    images, labels = [], []
    for name in names:
        path, official = folder / name, f"ImageNet16/{name}"
        if not path.exists():
            raise missing("ImageNet16-120", needed, folder.parent)
        with path.open("rb") as file:
            check_digest(file, official, digests)
            content = unpickle(file, official)
        written = batch_labels(content, "labels", official)  # 1..1000
        pixels = batch_images(content, 3, 16, official)
        if len(pixels) != len(written):
            raise DataError(f"{official}: {len(pixels)} images but {len(written)} labels.")
        images.append(pixels[written <= 120])
        labels.append(as_labels(written[written <= 120] - 1, 120, official))
    return _raw(
        (np.concatenate(images[:-1]), np.concatenate(labels[:-1])), (images[-1], labels[-1]), 120
    )


def _class_folders(folder: Path) -> list[Path]:
    found = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    if not found:
        raise DataError(f"{folder} has no class folders; expected one folder of images a class.")
    return found


def _image_files(folders: list[Path]) -> tuple[list[Path], list[int]]:
    paths, labels = [], []
    for label, folder in enumerate(folders):
        files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in _IMAGE_SUFFIXES)
        paths += files
        labels += [label] * len(files)
    return paths, labels


def imagenet(root: Root, digests: Mapping[str, str]) -> RawFiles:
    """Return a folder in ImageNet's layout: train/CLASS/*.JPEG and val/CLASS/*.JPEG."""
    needed = "imagenet/train/CLASS/*.JPEG and imagenet/val/CLASS/*.JPEG"
    folder = _find("imagenet", needed, root, "imagenet")
    if not all((folder / part).is_dir() for part in ("train", "val")):
        raise missing("imagenet", needed, folder.parent)
    classes, test_classes = (_class_folders(folder / part) for part in ("train", "val"))
    if [c.name for c in classes] != [c.name for c in test_classes]:
        raise DataError(f"{folder}: train and val must have the same class folders.")
    paths, labels = _image_files(classes)
    test_paths, test_labels = _image_files(test_classes)
    return RawFiles(
        (*paths, *test_paths), np.array(labels + test_labels, np.int64), len(paths), len(classes),
        folder,
    )  # fmt: skip


def caltech256(root: Root, digests: Mapping[str, str]) -> RawFiles:
    """Return a folder in Caltech-256's layout: NNN.name/*.jpg, without 257.clutter."""
    needed = "256_ObjectCategories/NNN.name/*.jpg"
    folder = _find("caltech256", needed, root, "256_ObjectCategories", "caltech256")
    classes = [c for c in _class_folders(folder) if not c.name.endswith(".clutter")]
    paths, labels = _image_files(classes)
    return RawFiles(tuple(paths), np.array(labels, np.int64), None, len(classes), folder)


SOURCES: dict[str, Reader] = {
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "svhn": svhn,
    "svhn-extra": svhn_extra,
    "ImageNet16-120": imagenet16_120,
    "imagenet": imagenet,
    "caltech256": caltech256,
}
