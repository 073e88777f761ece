"""From stored uint8 images to a network's input: normalise or whiten, flip, crop, cut out.

Everything runs on the images' device, one vectorised operation for the whole batch, with random
draws from an explicit generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional

from nasbench_evo.errors import InputError
from nasbench_evo.training.data.datasets import Dataset
from nasbench_evo.training.data.images import Part

_LARGEST_WHITENED = 3 * 64 * 64  # the whitening matrix has this many rows and columns


@dataclass(frozen=True)
class Augmentation:
    """What is done to images: `flip` a probability, `crop_padding` and `cutout` in pixels.

    `whitening` replaces the normalisation per channel by global contrast normalisation and ZCA
    (EIGEN, section 4.1), `local_contrast` by local contrast normalisation (Genetic CNN, section
    4.2), for training and evaluation alike. The rest is for training only. Raises InputError.
    """

    flip: float = 0.0
    crop_padding: int = 0
    cutout: int = 0
    whitening: bool = False
    local_contrast: bool = False

    def __post_init__(self) -> None:
        if self.whitening and self.local_contrast:
            raise InputError("Images are whitened or locally contrast-normalised, not both.")
        if not 0 <= self.flip <= 1:
            raise InputError(f"flip is a probability, 0..1; got {self.flip}.")
        if self.crop_padding < 0 or self.cutout < 0:
            raise InputError(
                "crop_padding and cutout are pixels, 0 or more; "
                f"got {self.crop_padding} and {self.cutout}."
            )

    @property
    def moves_pixels(self) -> bool:
        """Whether an image is not the same in every epoch."""
        return bool(self.flip or self.crop_padding or self.cutout)


def flip_and_crop(images: Tensor, flip: float, padding: int, generator: torch.Generator) -> Tensor:
    """Return images [b, c, h, w] flipped with probability `flip`, then cropped at random.

    The crop is h x w out of the image padded with zeros on each side; one gather does both.
    """
    b, c, h, w = images.shape
    device = images.device
    rows = torch.arange(h, device=device).expand(b, h)
    columns = torch.arange(w, device=device).expand(b, w)
    if flip:
        flipped = torch.rand((b, 1), generator=generator, device=device) < flip
        # Indices into the crop: flipping a crop at a random offset is cropping the flipped image,
        # as left and right offsets are equally likely.
        columns = torch.where(flipped, columns.flip(1), columns)
    if padding:
        offsets = torch.randint(2 * padding + 1, (2, b, 1), generator=generator, device=device)
        # the whole batch at once; which part of it is read differs by image
        images = functional.pad(images, (padding,) * 4)
        rows = rows + offsets[0]
        columns = columns + offsets[1]
    # Four indices that broadcast to [b, c, h, w]: no loop over images.
    batch = torch.arange(b, device=device).view(b, 1, 1, 1)
    channel = torch.arange(c, device=device).view(1, c, 1, 1)
    return images[batch, channel, rows.view(b, 1, h, 1), columns.view(b, 1, 1, w)]


def cut_out(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return images [b, c, h, w] with a size x size square of zeros each (DeVries and Taylor 2017).

    The square's centre is uniform over the image, so that it may hang over the edge.
    """
    b, _, h, w = images.shape
    device = images.device
    top = torch.randint(h, (b, 1), generator=generator, device=device) - size // 2
    left = torch.randint(w, (b, 1), generator=generator, device=device) - size // 2
    rows, columns = torch.arange(h, device=device), torch.arange(w, device=device)
    # [b, h]; beyond the edge nothing matches, which cuts the square off there
    in_rows = (rows >= top) & (rows < top + size)
    in_columns = (columns >= left) & (columns < left + size)
    return images.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0)


def contrast_normalise(images: Tensor) -> Tensor:
    """Return uint8 images as float rows [b, c*h*w], each of mean 0 and standard deviation 1."""
    rows = images.flatten(1).float()
    rows = rows - rows.mean(1, keepdim=True)
    # An image without contrast stays 0; the bound is far below one grey level.
    return rows / rows.square().mean(1, keepdim=True).sqrt().clamp_min(1e-3)


def local_contrast(images: Tensor, dtype: torch.dtype, size: int = 9) -> Tensor:
    """Return uint8 images [b, c, h, w] with local contrast normalisation, in `dtype`.

    Jarrett et al. 2009 (section 2): the Gaussian mean of the window, over all channels, is taken
    off, then the window's deviation is divided out where it is above its mean over the image. The
    window is `size` pixels wide with a deviation of size / 4, and ends at the image's border.
    """
    x = images.to(torch.promote_types(dtype, torch.float32))
    offsets = torch.arange(size, device=x.device, dtype=x.dtype) - size // 2
    weights = torch.exp(-(offsets**2) / (2 * (size / 4) ** 2)).tolist()
    inside = _weighted(torch.ones_like(x[:1, :1]), weights)

    def mean(values: Tensor) -> Tensor:
        return _weighted(values.mean(1, keepdim=True), weights) / inside

    x = x - mean(x)
    deviation = mean(x.square()).sqrt()
    # At least 0.1 of a grey level: an even image stays 0.
    floor = deviation.mean((2, 3), keepdim=True).clamp_min(0.1)
    return (x / torch.maximum(deviation, floor)).to(dtype)


def _weighted(maps: Tensor, weights: list[float]) -> Tensor:
    """Return maps [b, 1, h, w] summed with weights along rows and columns, zeros beyond the border.

    By additions: a convolution may round to TF32 on CUDA.
    """
    margin = len(weights) // 2
    for axis in (2, 3):
        n = maps.shape[axis]
        padded = functional.pad(maps, (0, 0, margin, margin) if axis == 2 else (margin, margin))
        shifted = [w * padded.narrow(axis, i, n) for i, w in enumerate(weights)]
        maps = torch.stack(shifted).sum(0)
    return maps


@dataclass(frozen=True, eq=False)
class Whitening:
    """Global contrast normalisation, then ZCA: x -> (x - mean) W, W = U (S + eps)^-1/2 U^T."""

    mean: Tensor  # [c*h*w]
    matrix: Tensor  # [c*h*w, c*h*w]

    @classmethod
    def fit(cls, part: Part, epsilon: float = 0.1) -> Whitening:
        """Fit on a training part (float64); `epsilon` is relative to pixels of variance 1.

        EIGEN gives no epsilon; 0.1 is the usual one for contrast-normalised CIFAR images.
        """
        pixels = part.shape[0] * part.shape[1] * part.shape[2]
        if pixels > _LARGEST_WHITENED:
            raise InputError(
                f"ZCA whitening works up to {_LARGEST_WHITENED} values an image; got {pixels}. "
                "Use smaller images or whitening=False."
            )
        device = part.labels.device
        total = torch.zeros(pixels, dtype=torch.float64, device=device)
        products = torch.zeros(pixels, pixels, dtype=torch.float64, device=device)
        for images, _ in part.runs(1024):
            rows = contrast_normalise(images).double()
            total += rows.sum(0)
            products += rows.T @ rows
        mean = total / len(part)
        covariance = products / len(part) - mean[:, None] * mean
        values, vectors = torch.linalg.eigh(covariance)
        # No variance is below 0 but by rounding.
        scale = (values.clamp_min(0) + epsilon).rsqrt()
        return cls(mean, (vectors * scale) @ vectors.T)

    def __call__(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """Return uint8 images [b, c, h, w] whitened, in `dtype`."""
        rows = contrast_normalise(images).to(dtype)
        return ((rows - self.mean.to(dtype)) @ self.matrix.to(dtype)).view(images.shape)


# Fitting takes half a minute for CIFAR-10 on a CPU: once per training part, not per individual.
_FITTED: WeakKeyDictionary[Part, Whitening] = WeakKeyDictionary()


class Pipeline:
    """The input pipeline of one training: fitted on the training part, used on every part."""

    def __init__(
        self, dataset: Dataset, augmentation: Augmentation, dtype: torch.dtype = torch.float32
    ) -> None:
        self.augmentation = augmentation
        self.dtype = dtype
        device = dataset.train.labels.device
        mean, std = (
            torch.tensor(v, dtype=torch.float64, device=device).view(1, -1, 1, 1)
            for v in (dataset.mean, dataset.std)
        )
        self._scale = (1 / (255 * std)).to(dtype)
        self._shift = (-mean / std).to(dtype)
        self._whitening: Whitening | None = None
        if augmentation.whitening:
            fitted = _FITTED.get(dataset.train) or Whitening.fit(dataset.train)
            _FITTED[dataset.train] = fitted
            self._whitening = Whitening(fitted.mean.to(dtype), fitted.matrix.to(dtype))

    def evaluation(self, images: Tensor) -> Tensor:
        """Return uint8 images [b, c, h, w] as a network's input, without augmentation."""
        if self._whitening is not None:
            return self._whitening(images, self.dtype)
        if self.augmentation.local_contrast:
            return local_contrast(images, self.dtype)
        return torch.addcmul(self._shift, images.to(self.dtype), self._scale)

    def training(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return uint8 images [b, c, h, w] as a network's input, augmented at random."""
        a = self.augmentation
        # Whitening is fitted pixel by pixel, and a window must not see the padding: both come
        # before pixels move; otherwise moving bytes is cheaper, and the padding is black as usual.
        first = a.whitening or a.local_contrast
        if first:
            images = self.evaluation(images)
        if a.flip or a.crop_padding:
            images = flip_and_crop(images, a.flip, a.crop_padding, generator)
        if not first:
            images = self.evaluation(images)
        # After the normalisation, so that the square is of the mean.
        return cut_out(images, a.cutout, generator) if a.cutout else images
