"""The network of an EIGEN layer graph (Ren et al. 2019, Section 3), with a linear classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.networks.operations import (
    Linear,
    check_sizes,
    construct,
    conv_bn_relu,
    global_average,
)
from nasbench_evo.spaces.layer_graph.space import LayerGraph
from nasbench_evo.spaces.layer_graph.structure import Graph


class LayerGraphNetwork(nn.Module):
    """Images [batch, in_channels, h, w] to logits [batch, classes].

    Any square image on which the graph's poolings and concatenations are valid will do.
    """

    def __init__(self, genotype: Graph, classes: int, in_channels: int = 3) -> None:
        super().__init__()
        check_sizes(classes=classes, in_channels=in_channels)
        self.graph = genotype
        self.convolutions = nn.ModuleDict()
        self.last_use: dict[int, int] = {}  # so that a map is freed when nothing reads it again
        channels = [in_channels]
        for layer, (kind, inputs, settings) in enumerate(genotype, start=1):
            self.last_use |= dict.fromkeys(inputs, layer)
            width = sum(channels[source] for source in inputs)
            if kind == "conv":
                outputs, stride, kernel = settings
                self.convolutions[str(layer)] = conv_bn_relu(width, outputs, kernel, stride)
                width = outputs
            channels.append(width)
        self.classifier = Linear(channels[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        maps = {0: images}
        for layer, (kind, inputs, _) in enumerate(self.graph, start=1):
            sources = [maps[source] for source in inputs]
            maps[layer] = self._compute(layer, kind, sources)
            for source in set(inputs):
                if self.last_use[source] == layer:
                    del maps[source]
        logits: Tensor = self.classifier(maps[len(self.graph)])
        return logits

    def _compute(self, layer: int, kind: str, sources: list[Tensor]) -> Tensor:
        if kind == "conv":
            result: Tensor = self.convolutions[str(layer)](sources[0])
            return result
        if kind == "pool":
            return F.max_pool2d(sources[0], 2)
        if kind == "concat":
            return torch.cat(sources, 1)
        return global_average(sources[0])


def build(
    genotype: Graph,
    *,
    classes: int,
    generator: torch.Generator,
    in_channels: int = 3,
    image_size: int = 32,
) -> LayerGraphNetwork:
    """Return the network of a graph (on the CPU), its weights drawn from `generator`.

    Poolings take the maximum (the paper does not say which). Raises InputError if the graph is
    not valid for images of `image_size` pixels.
    """
    graph = LayerGraph(image_size).validate(genotype)
    return construct(lambda: LayerGraphNetwork(graph, classes, in_channels), generator)
