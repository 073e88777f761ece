"""The layer-graph space of EIGEN (Ren et al. 2019, Section 3): networks grown from one layer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from nasbench_evo.errors import InputError
from nasbench_evo.randomness import Stream, as_stream
from nasbench_evo.spaces.base import Space
from nasbench_evo.spaces.layer_graph import mutations
from nasbench_evo.spaces.layer_graph.structure import (
    INPUTS,
    POOREST,
    SETTINGS,
    Graph,
    Layer,
    canonical,
    duplicate_blocks,
    feature_sizes,
    group_by_size,
)

_EXAMPLE = "'conv3x3@32(0) conv1x1@64/2(1) pool(1) concat(2,3) global(4)'"
_TOKEN = re.compile(
    r"(?:conv(?P<kernel>\d+)x(?P=kernel)@(?P<channels>\d+)(?:/(?P<stride>\d+))?|"
    r"(?P<kind>pool|concat|global))\((?P<inputs>\d+(?:,\d+)?)\)",
    re.ASCII,
)


class LayerGraph(Space):
    """Genotypes are acyclic layer graphs, as `structure` spells them.

    `image_size` is the width of the square input image (pixels), on which feature-map sizes and
    so the validity of a graph depend. `sample_steps` bounds the random graphs of `sample`.
    Raises InputError unless image_size >= 1 and sample_steps >= 0.
    """

    name: ClassVar[str] = "layer_graph"

    def __init__(self, image_size: int = 32, sample_steps: int = 100) -> None:
        if image_size < 1 or sample_steps < 0:
            raise InputError(
                "A layer graph needs image_size >= 1 and sample_steps >= 0; "
                f"got {image_size} and {sample_steps}."
            )
        self.image_size = image_size
        self.sample_steps = sample_steps

    def poorest(self) -> Graph:
        """Return the single global pooling layer."""
        return POOREST

    def sample(self, rng: Stream, n: int) -> list[Graph]:
        """Return `n` independent graphs: the poorest after k ~ U{1..sample_steps} mutations.

        With the default this is the distribution of EIGEN's first generation (mutation step-size
        100), so that random search has graphs to try; sample_steps=0 gives the poorest `n` times.
        """
        graphs, rng = [], as_stream(rng)
        for _ in range(n):
            graph = POOREST
            for _ in range(rng.below(self.sample_steps) + 1 if self.sample_steps else 0):
                graph = self.mutate(graph, rng)
            graphs.append(graph)
        return graphs

    def mutate(self, genotype: Graph, rng: Stream) -> Graph:
        """Return `genotype` after one of the nine mutations, always valid and another graph."""
        return mutations.mutate(genotype, self.image_size, as_stream(rng))

    def sizes(self, genotype: Graph) -> list[int]:
        """Return the feature-map width of the image (index 0) and of each layer, in pixels."""
        sizes = feature_sizes(genotype, self.image_size)
        if isinstance(sizes, str):
            raise InputError(
                f"Not a layer graph for {self.image_size}x{self.image_size} images: {sizes}. "
                "Use the image size it was made for, or remove that layer."
            )
        return sizes

    def blocks(self, genotype: Graph) -> list[tuple[int, ...]]:
        """Return the layer numbers of each block (equal width and height), largest map first."""
        return group_by_size(genotype, self.sizes(genotype))

    def duplications(
        self, genotype: Graph, rng: Stream, n: int, max_copies: int = 2
    ) -> list[Graph]:
        """Return up to `n` distinct children with whole blocks duplicated (Section 3.3).

        Each block is repeated 0..max_copies times more, in a random order of the combinations.
        Fewer than `n` exist for a graph of few blocks, none for one without convolutions.
        """
        blocks = self.blocks(genotype)
        combinations = list(itertools.product(range(max_copies + 1), repeat=len(blocks)))
        as_stream(rng).shuffle(combinations)
        children: dict[Graph, None] = {}  # a set that keeps the drawn order
        for copies in combinations:
            child = duplicate_blocks(genotype, dict(zip(blocks, copies, strict=True)))
            if len(children) == n:
                break
            if child != genotype:
                children[child] = None
        return list(children)

    def validate(self, genotype: Any) -> Graph:
        """Return `genotype` in canonical form, or raise InputError saying which layer is wrong."""
        if not isinstance(genotype, Sequence) or isinstance(genotype, str) or not genotype:
            raise InputError(
                f"A layer graph is a sequence of (kind, inputs, settings); got {genotype!r}."
            )
        layers = [_layer(layer, number) for number, layer in enumerate(genotype, start=1)]
        if [number for number, layer in enumerate(layers) if layer[0] == "global"] != [
            len(layers) - 1
        ]:
            raise InputError(f"The only global layer of a layer graph is its last: {genotype!r}.")
        graph = canonical(layers, len(layers))
        self.sizes(graph)
        return graph

    def parse(self, text: str) -> Graph:
        """Return the graph that `text` spells, such as 'conv3x3@32(0) pool(1) global(2)'."""
        layers: list[Layer] = []
        for token in text.split():
            match = _TOKEN.fullmatch(token)
            if not match:
                raise InputError(f"Not a layer: {token!r}. Accepted: layers as in {_EXAMPLE}.")
            inputs = tuple(map(int, match["inputs"].split(",")))
            if match["kind"]:
                layers.append((match["kind"], inputs, ()))
            else:
                stride = int(match["stride"] or 1)
                settings = (int(match["channels"]), stride, int(match["kernel"]))
                layers.append(("conv", inputs, settings))
        return self.validate(layers)

    def format(self, genotype: Graph) -> str:
        """Return one word a layer: kernel, @channels, /stride if not 1, and (inputs)."""
        words = []
        for kind, inputs, settings in genotype:
            word = kind
            if kind == "conv":
                channels, stride, kernel = settings
                word = f"conv{kernel}x{kernel}@{channels}{f'/{stride}' if stride > 1 else ''}"
            words.append(f"{word}({','.join(map(str, inputs))})")
        return " ".join(words)


def _layer(layer: Any, number: int) -> Layer:
    """Return `layer` as nested tuples after checking its kind, inputs and settings."""
    try:
        kind, inputs, settings = layer[0], tuple(layer[1]), tuple(layer[2])
        options = SETTINGS[kind]
        well_formed = (
            len(layer) == 3
            and len(inputs) == INPUTS[kind]
            and all(type(source) is int and 0 <= source < number for source in inputs)
            and len(settings) == len(options)
            and all(
                type(value) is int and value in allowed
                for value, allowed in zip(settings, options, strict=True)
            )
        )
    except (TypeError, KeyError, IndexError):
        well_formed = False
    if not well_formed:
        raise InputError(
            f"Layer {number} of a layer graph is (kind, inputs, settings): a kind of "
            f"{', '.join(SETTINGS)}, as many earlier layers as it takes, and for a conv "
            f"(channels, stride, kernel) from {SETTINGS['conv']}; got {layer!r}."
        )
    return kind, inputs, settings
