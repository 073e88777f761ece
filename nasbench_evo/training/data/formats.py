"""Readers of the official data set files: IDX, CIFAR and ImageNet16 pickles, SVHN .mat files.

Every reader returns arrays as they are in the file (uint8 images channels-first, integer labels
from 0), checks what it can check, and raises DataError that names the file and what is wrong.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import pickle
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy._core import multiarray, numeric
from numpy.typing import NDArray

from nasbench_evo.errors import DataError

Images = NDArray[np.uint8]  # [n, channels, height, width]
Labels = NDArray[np.int64]  # [n]

# MD5 of the official files (cs.toronto.edu/~kriz/cifar.html; Dong and Yang 2020 for ImageNet16).
DIGESTS: Mapping[str, str] = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
    "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "ImageNet16/train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "ImageNet16/train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "ImageNet16/train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "ImageNet16/train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "ImageNet16/train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "ImageNet16/train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "ImageNet16/train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "ImageNet16/train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "ImageNet16/train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "ImageNet16/train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    "ImageNet16/val_data": "3410e3017fdaefba8d5073aaa65e4bd6",
}


def check_digest(
    file: io.BufferedReader | io.BytesIO, name: str, digests: Mapping[str, str]
) -> None:
    """Raise DataError unless the MD5 of an open `file` is `digests[name]`; rewind it."""
    # MD5 is what the publishers give; it guards against damage, not against an adversary
    # (against one the unpickler is restricted).
    found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    file.seek(0)
    if found != digests[name]:
        raise DataError(
            f"{name} is damaged or altered: its MD5 is {found}, expected {digests[name]}. "
            "Fetch the official file again."
        )


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """Stand in for `_codecs.encode` in pickles of bytes; only latin1 is ever used there."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not allowed")
    return text.encode("latin1")


_reconstruct: Callable[..., Any] = multiarray._reconstruct
_frombuffer: Callable[..., Any] = numeric._frombuffer  # type: ignore[attr-defined]
# NumPy 2 moved numpy.core to numpy._core; old files name the old place.
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Rebuilds built-in containers, numbers, strings and NumPy arrays; refuses the rest."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a data file") from None


def unpickle(file: IO[bytes], name: str) -> dict[str, Any]:
    """Return the dictionary pickled in `file`, keys as text.

    Nothing but built-in values and NumPy arrays is ever built: a pickle that names any other
    class or function, or is truncated, raises DataError.
    """
    try:
        content = _Unpickler(file, encoding="latin1").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        AttributeError,
        UnicodeError,
        MemoryError,
        OverflowError,
    ) as error:
        raise DataError(f"{name} cannot be read: {error}. Expected an official batch.") from error
    if not isinstance(content, dict):
        raise DataError(f"{name} holds a {type(content).__name__}; expected a dictionary.")
    return {k.decode("latin1") if isinstance(k, bytes) else str(k): v for k, v in content.items()}


def as_labels(values: Any, classes: int, name: str) -> Labels:
    """Return `values` as int64 labels [n]; raise DataError when one is not in 0..classes-1."""
    labels = np.asarray(values).astype(np.int64).reshape(-1)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            f"{name}: labels must be 0..{classes - 1}; got {labels.min()}..{labels.max()}."
        )
    return labels


def batch_images(content: Mapping[str, Any], channels: int, size: int, name: str) -> Images:
    """Return the images [n, channels, size, size] of an unpickled batch (`data`: one row each)."""
    data = content.get("data")
    pixels = channels * size * size
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (pixels,):
        raise DataError(f"{name}: expected 'data' as bytes of shape [n, {pixels}].")
    return data.reshape(-1, channels, size, size)


def batch_labels(content: Mapping[str, Any], key: str, name: str) -> NDArray[np.int64]:
    """Return the labels under `key` of an unpickled batch as they are written."""
    if key not in content:
        raise DataError(f"{name}: expected the entry {key!r}; got {sorted(content)}.")
    return np.asarray(content[key], dtype=np.int64)


def read_batch(
    folder: Path, archive: Path, member: str, digests: Mapping[str, str]
) -> dict[str, Any]:
    """Return one CIFAR batch, from the extracted `folder` if it is there, else from `archive`.

    `member` is the path inside the archive, 'cifar-10-batches-py/data_batch_1'. The file's MD5 is
    checked; the archive's own is checked by the caller, once.
    """
    extracted = folder / Path(member).name
    if extracted.exists():
        with extracted.open("rb") as file:
            check_digest(file, member, digests)
            return unpickle(file, member)
    try:
        with tarfile.open(archive) as tar:
            found = tar.extractfile(member)
            if found is None:
                raise KeyError(member)
            return unpickle(io.BytesIO(found.read()), member)
    except (tarfile.TarError, KeyError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{archive.name} has no readable {member}: {error}.") from error


_MOST_IDX = 1 << 28  # bytes of an IDX file


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in a gzipped IDX file of unsigned bytes (the MNIST format)."""
    try:
        with gzip.open(path) as file:
            content = file.read(_MOST_IDX + 1)
        if len(content) > _MOST_IDX:
            raise OSError(f"it expands to more than {_MOST_IDX >> 20} MB")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} cannot be read: {error}. Fetch it again.") from error
    # Magic number: two zero bytes, 8 for unsigned bytes, the number of dimensions.
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path.name} is not an IDX file of unsigned bytes.")
    dimensions = content[3]
    shape = (
        tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, 4))
        if (len(content) >= 4 + 4 * dimensions)
        else (-1,)
    )
    if len(content) != 4 + 4 * dimensions + math.prod(shape):
        raise DataError(f"{path.name} is truncated: shape {shape}, {len(content)} bytes in all.")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def read_svhn(path: Path) -> tuple[Images, Labels]:
    """Return images and labels of an SVHN cropped-digits file; the file's label 10 is digit 0."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(str(path), variable_names=["X", "y"])
    except (MatReadError, OSError, ValueError, TypeError, zlib.error, NotImplementedError) as error:
        raise DataError(f"{path.name} cannot be read: {error}. Fetch it again.") from error
    images, labels = content.get("X"), content.get("y")
    if images is None or labels is None or images.shape[:3] != (32, 32, 3):
        raise DataError(f"{path.name}: expected X of shape [32, 32, 3, n] and y of [n, 1].")
    channels_first = np.ascontiguousarray(images.astype(np.uint8).transpose(3, 2, 0, 1))
    return channels_first, as_labels(np.asarray(labels) % 10, 10, path.name)
