"""The same layer of many networks as one: stacked tensors, grouped convolutions.

Activations are [batch, height, width, K, channels], K networks (or edges) side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NETWORKS = 3  # the dimension of activations that counts networks


def spatial(x: Tensor) -> Tensor:
    """View [batch, h, w, K, c] as a channels_last [batch, K * c, h, w]."""
    return x.flatten(NETWORKS).permute(0, 3, 1, 2)


def grouped(x: Tensor, groups: int) -> Tensor:
    """View a channels_last [batch, K * c, h, w] as [batch, h, w, K, c]."""
    batch, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).view(batch, height, width, groups, channels // groups)


class Stacked(nn.Module):
    """A layer whose tensors are those of its members, one after another along dimension 0."""

    def __init__(self, members: Sequence[nn.Module], owners: Sequence[int] | None = None) -> None:
        # owners: the network of each member (None: one member a network, in order)
        super().__init__()
        self.owners = tuple(range(len(members))) if owners is None else tuple(owners)
        self.groups = len(members)
        self._members = tuple(members)  # in a tuple: they are not submodules
        self._names: dict[str, str] = {}
        for name, tensor in [*members[0].named_parameters(), *members[0].named_buffers()]:
            if tensor.dim() == 0:  # BatchNorm's count of batches, which nothing here reads
                continue
            # torch allows no dot in a parameter's name
            own = self._names[name] = name.replace(".", "_")
            # Along the outputs: as a grouped convolution wants its kernels, and per channel as
            # BatchNorm does.
            value = torch.cat([self._widened(self._of(member, name)) for member in members])
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(own, nn.Parameter(value))
            else:
                self.register_buffer(own, value)

    @staticmethod
    def _of(member: nn.Module, name: str) -> Tensor:
        path, _, last = name.rpartition(".")
        return cast(Tensor, getattr(member.get_submodule(path), last)).detach()

    def _widened(self, tensor: Tensor) -> Tensor:
        """Return a member's tensor with the shape that all members' share here."""
        return tensor

    def _narrowed(self, piece: Tensor, member: Tensor) -> Tensor:
        """Return a piece of a tensor here as the member has it."""
        return piece

    def write_back(self) -> None:
        """Copy the tensors to the members they came from."""
        for name, own in self._names.items():
            members = [self._of(member, name) for member in self._members]
            self.scatter(cast(Tensor, getattr(self, own)), members)

    def shared(self) -> Iterator[tuple[nn.Parameter, list[nn.Parameter]]]:
        """Yield each parameter here with those of the members that it holds."""
        for name, own in self._names.items():
            tensor = getattr(self, own)
            if isinstance(tensor, nn.Parameter):
                yield tensor, [member.get_parameter(name) for member in self._members]

    @torch.no_grad()
    def gather(self, values: Sequence[Tensor]) -> Tensor:
        """Return values of the members, in the shape of their parameters, as one tensor here."""
        return torch.cat([self._widened(value) for value in values])

    @torch.no_grad()
    def scatter(self, values: Tensor, members: Sequence[Tensor]) -> None:
        """Copy values here to the members' tensors."""
        for there, piece in zip(members, values.chunk(self.groups), strict=True):
            there.copy_(self._narrowed(piece, there))

    def held(self, members: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the parameters of some members here, and what these started with."""
        for name, own in self._names.items():
            tensor = cast(Tensor, getattr(self, own))
            if isinstance(tensor, nn.Parameter):
                pieces = tensor.detach().chunk(self.groups)
                for i in members:
                    yield pieces[i], self._widened(self._of(self._members[i], name))

    def normalise(self, x: Tensor, prefix: str) -> Tensor:
        """Return the BatchNorm whose tensors start with `prefix`, on [batch, K * c, h, w]."""
        mean, variance, weight, bias = (
            cast(Tensor, getattr(self, prefix + name))
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        # The default momentum and eps, which those of all members are.
        return F.batch_norm(x, mean, variance, weight, bias, self.training)

    def convolve(self, x: Tensor, name: str, groups: int, stride: int = 1) -> Tensor:
        """Return the padded convolution with the weight `name`."""
        weight = cast(Tensor, getattr(self, name))
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, groups)


class JointConvBN(Stacked):
    """Convolution and BatchNorm of several networks: [batch, h, w, G, c] to the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what each member would return for its own slice."""
        y = self.convolve(spatial(x), "0_weight", self.groups)
        return grouped(self.normalise(y, "1_"), self.groups)


class JointMixedConvBN(JointConvBN):
    """1x1 and 3x3 convolutions as one of 3x3: a 1x1 kernel is its middle, with zeros around."""

    taps: Tensor  # 1 where a weight is a member's, else 0

    def __init__(self, members: Sequence[nn.Module], owners: Sequence[int] | None = None) -> None:
        super().__init__(members, owners)
        weights = [self._of(member, "0.weight") for member in members]
        taps = [self._widened(torch.ones_like(weight)) for weight in weights]
        self.register_buffer("taps", torch.cat(taps), persistent=False)

    def _widened(self, tensor: Tensor) -> Tensor:
        return F.pad(tensor, (1, 1, 1, 1)) if tensor.shape[2:] == (1, 1) else tensor

    def _narrowed(self, piece: Tensor, member: Tensor) -> Tensor:
        return piece[..., 1:2, 1:2] if member.shape[2:] == (1, 1) else piece

    def forward(self, x: Tensor) -> Tensor:
        """Return what each member would return for its own slice."""
        weight = cast(Tensor, getattr(self, "0_weight")) * self.taps  # no gradient for the zeros
        y = F.conv2d(spatial(x), weight, padding=1, groups=self.groups)
        return grouped(self.normalise(y, "1_"), self.groups)


class JointStem(Stacked):
    """The stems: images [batch, K * c, h, w], or [batch, c, h, w] shared by all networks."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__(members)
        self.in_channels = cast(Tensor, getattr(self, "0_weight")).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Return [batch, h, w, K, channels]."""
        # With one network both readings are the same.
        shared = images.shape[1] == self.in_channels
        y = self.convolve(images, "0_weight", 1 if shared else self.groups)
        return grouped(self.normalise(y, "1_"), self.groups)


class JointResidual(Stacked):
    """The stride-2 blocks between stages."""

    def forward(self, x: Tensor) -> Tensor:
        """Return main path plus shortcut, [batch, h/2, w/2, K, 2c]."""
        x = spatial(x)
        main = self.convolve(F.relu(x), "first_0_weight", self.groups, stride=2)
        main = F.relu(self.normalise(main, "first_1_"))
        main = self.convolve(main, "second_0_weight", self.groups)
        main = self.normalise(main, "second_1_")
        pooled = F.avg_pool2d(x, 2, ceil_mode=True)
        return grouped(main + self.convolve(pooled, "shortcut_weight", self.groups), self.groups)


class JointHead(Stacked):
    """Last BatchNorm, ReLU, global average and classifier: to logits [K, batch, classes]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return each network's logits."""
        features = F.relu(self.normalise(spatial(x), "last_"))
        pooled = features.mean((2, 3)).view(len(x), self.groups, -1).transpose(0, 1)
        weight = cast(Tensor, self.classifier_weight).view(self.groups, -1, pooled.shape[2])
        bias = cast(Tensor, self.classifier_bias).view(self.groups, 1, -1)
        return torch.baddbmm(bias, pooled, weight.transpose(1, 2))
