"""The networks of Genetic CNN (Xie and Yuille 2017): Sections 3.1.1, 4.1.1, 4.2 and 4.3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.networks.operations import Linear, check_sizes, construct, conv_bn_relu
from nasbench_evo.spaces.binary_stages import INPUT, BinaryStages, Bits, StageGraph


@dataclass(frozen=True)
class Widths:
    """Filters of each stage, outputs of the hidden fully connected layers, and the stem.

    `vgg_stem` puts VGGNet's first two stages (64, 64, pool, 128, 128, pool) in front.
    """

    channels: tuple[int, ...]
    hidden: tuple[int, ...]
    vgg_stem: bool = False


WIDTHS = {
    "search": Widths((8, 8, 16), (32,)),  # Section 4.1.1
    "transfer": Widths((64, 128, 256), (1024,)),  # Section 4.2
    "imagenet": Widths((256, 512, 512), (4096, 4096), vgg_stem=True),  # Section 4.3
}
_LIST = r"[1-9]\d*(?:,[1-9]\d*)*"


def widths_for(space: BinaryStages, widths: str | Widths) -> Widths:
    """Return the widths that a name in `WIDTHS` or a text "8,8,16/32" stands for.

    The text has the channels of each stage, then the outputs of each hidden layer. Raises
    InputError for anything else, or a number of channels that is not the number of stages.
    """
    found = widths
    if isinstance(found, str):
        if match := re.fullmatch(f"({_LIST})/({_LIST})", found, re.ASCII):
            channels, hidden = (tuple(map(int, part.split(","))) for part in match.groups())
            found = Widths(channels, hidden)
        elif found in WIDTHS:
            found = WIDTHS[found]
        else:
            known = unknown("widths", found, WIDTHS)
            raise InputError(f"{known} Or your own: channels/hidden layers, such as 8,8,16/32.")
    if len(found.channels) != len(space.nodes) or not found.hidden:
        raise InputError(
            f"The space has {len(space.nodes)} stages, so expected as many channels and at least "
            f"one hidden layer; got widths={widths}. Give your own: channels/hidden layers, such "
            f"as {','.join(['8'] * len(space.nodes))}/32."
        )
    return found


class Stage(nn.Module):
    """One stage: [batch, inputs, h, w] to [batch, channels, h, w].

    Every node, default ones too, sums its inputs, then 3x3 convolution, BatchNorm, ReLU. In an
    all-zero stage the default input node is everything.
    """

    def __init__(self, graph: StageGraph, inputs: int, channels: int) -> None:
        super().__init__()
        self.graph = graph
        self.input = conv_bn_relu(inputs, channels, 3)
        self.nodes = nn.ModuleDict(
            {str(n): conv_bn_relu(channels, channels, 3) for n in graph.nodes}
        )
        self.output = conv_bn_relu(channels, channels, 3) if graph.nodes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return what goes to the pooling layer."""
        maps: dict[int, Tensor] = {INPUT: self.input(x)}
        for node, inputs in zip(self.graph.nodes, self.graph.inputs, strict=True):
            maps[node] = self.nodes[str(node)](_total(maps, inputs))
        result: Tensor = self.output(_total(maps, self.graph.outputs or (INPUT,)))
        return result


def _total(maps: dict[int, Tensor], nodes: Sequence[int]) -> Tensor:
    return reduce(torch.add, [maps[node] for node in nodes])


class BinaryStagesNetwork(nn.Module):
    """Images [batch, in_channels, image_size, image_size] to logits [batch, classes].

    After each stage 3x3 max pooling with stride 2, padded so that sizes halve, rounded up
    (Figure 1: 32 to 16). The head is hidden layers with ReLU and dropout, then the classifier.
    """

    def __init__(
        self,
        stages: Sequence[StageGraph],
        widths: Widths,
        classes: int,
        in_channels: int = 3,
        image_size: int = 32,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_sizes(classes=classes, in_channels=in_channels, image_size=image_size)
        self.body = nn.Sequential()
        channels = in_channels
        if widths.vgg_stem:
            channels, image_size = 128, image_size // 4
            check_sizes(image_size_after_the_stem=image_size)
            self.body.extend(_vgg_stem(in_channels))
        for graph, width in zip(stages, widths.channels, strict=True):
            self.body.append(Stage(graph, channels, width))
            self.body.append(nn.MaxPool2d(3, 2, padding=1))
            channels, image_size = width, (image_size + 1) // 2
        self.hidden = nn.Sequential()
        inputs = channels * image_size**2
        for outputs in widths.hidden:
            self.hidden.extend([Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)])
            inputs = outputs
        self.classifier = Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.classifier(self.hidden(self.body(images).flatten(1)))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Return the first fully connected layer's output before its ReLU (Section 4.3).

        The paper's Caltech-256 transfer then applies ReLU, square root and l2 normalisation.
        """
        result: Tensor = self.hidden[0](self.body(images).flatten(1))
        return result


def _vgg_stem(in_channels: int) -> nn.Sequential:
    """VGGNet's first two stages; BatchNorm after each convolution, as everywhere in the paper."""
    return nn.Sequential(
        conv_bn_relu(in_channels, 64, 3),
        conv_bn_relu(64, 64, 3),
        nn.MaxPool2d(2),
        conv_bn_relu(64, 128, 3),
        conv_bn_relu(128, 128, 3),
        nn.MaxPool2d(2),
    )


def build(
    genotype: Bits,
    space: BinaryStages,
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    image_size: int = 32,
    widths: str | Widths = "search",
    dropout: float = 0.5,
) -> BinaryStagesNetwork:
    """Return the network of a genotype (on the CPU), its weights drawn from `generator`.

    `widths` is what `widths_for` takes. Raises InputError for an unknown name, a number of widths
    that is not the number of stages, or a size below 1.
    """
    chosen = widths_for(space, widths)
    stages = space.stages(space.validate(genotype))
    return construct(
        lambda: BinaryStagesNetwork(stages, chosen, classes, in_channels, image_size, dropout),
        generator,
    )
