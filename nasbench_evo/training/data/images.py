"""The parts of a data set: images in memory, or image files read in worker processes.

Both give batches of uint8 images [batch, channels, height, width] and int64 labels on the device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from nasbench_evo.errors import DataError

Batch = tuple[Tensor, Tensor]  # (uint8 [b, c, h, w], int64 [b])


@dataclass(frozen=True, eq=False)  # equal only to itself: tensors have no truth value
class TensorPart:
    """Images and labels kept on the device: a batch is one indexing operation."""

    images: Tensor  # uint8 [n, channels, height, width]
    labels: Tensor  # int64 [n]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Batch]:
        """Yield the batch of each index tensor (int64, on the same device)."""
        for index in indices:
            yield self.images.index_select(0, index), self.labels.index_select(0, index)

    def runs(self, batch_size: int) -> Iterator[Batch]:
        """Yield everything once, in order, in batches."""
        pieces = (torch.split(values, batch_size) for values in (self.images, self.labels))
        yield from zip(*pieces, strict=True)

    def digest(self) -> bytes:
        """Return the SHA-256 of the images and labels."""
        found = hashlib.sha256(str(tuple(self.images.shape)).encode())
        for values in (self.labels, self.images):
            found.update(np.ascontiguousarray(values.cpu().numpy()).data)
        return found.digest()


class _Files(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Decodes one image file per item: shorter side to `size`, centre crop, RGB uint8."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return decode(self.paths[i], self.size), i


def decode(path: Path, size: int) -> Tensor:
    """Return an image file as uint8 [3, size, size]: shorter side resized, centre cropped."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (size, size))  # JPEG: decode at a smaller scale where possible
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise DataError(f"{path} is not a readable image: {error}.") from error
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    pixels = np.array(image.crop((left, top, left + size, top + size)), np.uint8)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@dataclass(frozen=True, eq=False)  # equal only to itself: tensors have no truth value
class FolderPart:
    """Image files decoded by `workers` processes while the device trains (0: in this process)."""

    paths: tuple[Path, ...]
    labels: Tensor  # int64 [n], on the device
    root: Path
    size: int
    workers: int

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return 3, self.size, self.size

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Batch]:
        """Yield the batch of each index tensor, in order, whatever worker is faster."""
        chosen = [index.tolist() for index in indices]
        device = self.labels.device
        loader = DataLoader(
            _Files(self.paths, self.size),
            batch_sampler=chosen,
            num_workers=self.workers,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else the loader draws from the global one
        )
        for images, index in loader:
            yield images.to(device, non_blocking=True), self.labels[index.to(device)]

    def runs(self, batch_size: int) -> Iterator[Batch]:
        """Yield everything once, in order, in batches."""
        return self.batches(torch.split(torch.arange(len(self)), batch_size))

    def digest(self) -> bytes:
        """Return the SHA-256 of the files' names, sizes in bytes, labels and image size."""
        found = hashlib.sha256(str(self.size).encode())
        for path, label in zip(self.paths, self.labels.tolist(), strict=True):
            name = path.relative_to(self.root).as_posix()
            found.update(f"{name}\0{path.stat().st_size}\0{label}\n".encode())
        return found.digest()


Part = TensorPart | FolderPart
