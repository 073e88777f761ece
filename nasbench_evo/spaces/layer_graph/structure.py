"""Layer graphs as plain values: canonical form, feature-map sizes, blocks and their duplication.

A graph is a tuple of layers; a layer is `(kind, inputs, settings)`. Layer k (from 1) may read the
image, which is number 0, and layers of lower number. Kinds and settings:

    ("conv", (source,), (channels, stride, kernel))   convolution, BatchNorm, ReLU
    ("pool", (source,), ())                           2x2, stride 2
    ("concat", (first, second), ())                   of equal feature-map sizes
    ("global", (source,), ())                         global pooling; the last layer, and only it

EIGEN (Ren et al. 2019), Sections 3, 3.1 and 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Layer = tuple[str, tuple[int, ...], tuple[int, ...]]
Graph = tuple[Layer, ...]

CHANNELS = (16, 32, 48, 64, 96)
STRIDES = (1, 2)
KERNELS = (1, 3)
SETTINGS: dict[str, tuple[tuple[int, ...], ...]] = {
    "conv": (CHANNELS, STRIDES, KERNELS),
    "pool": (),
    "concat": (),
    "global": (),
}
INPUTS = {"conv": 1, "pool": 1, "concat": 2, "global": 1}
BYPASS = "bypass"  # only inside a rewrite: the layer stands for its first input

IMAGE = 0
POOREST: Graph = (("global", (IMAGE,), ()),)


def canonical(layers: Sequence[Layer], output: int) -> Graph:
    """Return the graph that ends in layer `output`, numbered depth-first from there.

    `layers` may be in any order without cycles. Layers that do not reach the output are dropped,
    bypassed ones are replaced by their input, and a concatenation of a layer with itself is
    replaced by that layer. Equal graphs get equal tuples.
    """
    number = {IMAGE: IMAGE}
    result: list[Layer] = []
    stack = [output]
    while stack:
        layer = stack[-1]
        kind, inputs, settings = layers[layer - 1]
        # reversed for the stack: the first input gets its number first; a stack, as graphs may be
        # deep
        pending = [source for source in reversed(inputs) if source not in number]
        if pending:
            stack += pending
            continue
        stack.pop()
        if layer in number:
            continue
        sources = tuple([number[source] for source in inputs])
        if kind == BYPASS or (kind == "concat" and sources[0] == sources[1]):
            number[layer] = sources[0]
        else:
            result.append((kind, sources, settings))
            number[layer] = len(result)
    return tuple(result)


def feature_sizes(graph: Graph, image_size: int) -> list[int] | str:
    """Return the feature-map width of the image and of each layer, or what makes it impossible.

    Maps are square. Convolutions pad to keep the size (stride 2 halves it, rounded up), poolings
    halve it, rounded down; neither may reduce a map that is already 1x1.
    """
    sizes = [image_size]
    for position, (kind, inputs, settings) in enumerate(graph, start=1):
        size = sizes[inputs[0]]
        if kind == "pool" or (kind == "conv" and settings[1] == 2):
            if size < 2:
                return f"layer {position} ({kind}) halves a feature map that is already 1x1"
            size = size // 2 if kind == "pool" else (size + 1) // 2
        elif kind == "concat":
            if sizes[inputs[1]] != size:
                return (
                    f"layer {position} concatenates maps of unequal size: "
                    f"{size} (layer {inputs[0]}) and {sizes[inputs[1]]} (layer {inputs[1]})"
                )
        elif kind == "global":
            size = 1
        sizes.append(size)
    return sizes


def group_by_size(graph: Graph, sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the blocks: the layer numbers that share a width and height, largest map first.

    Within a block the numbers rise. Global pooling belongs to no block (Section 3.3).
    """
    blocks: dict[int, list[int]] = {}
    for layer in range(1, len(graph)):
        blocks.setdefault(sizes[layer], []).append(layer)
    return [tuple(blocks[size]) for size in sorted(blocks, reverse=True)]


def duplicate_blocks(graph: Graph, copies: Mapping[tuple[int, ...], int]) -> Graph:
    """Return `graph` with whole blocks repeated: `copies` says how many more of each block.

    A copy stands behind its block: what the block read from outside, the copy reads from the last
    layer of the block before it, and what others read from the block they now read from the last
    copy. The paper's Figure 1 shows no more than that blocks repeat; as a copy works on maps that
    are already small, its convolutions have stride 1 and its poolings are left out.
    """
    layers = list(graph)
    for block, count in copies.items():
        latest = {layer: layer for layer in block}
        for _ in range(count):
            # Copies read nothing outside but this layer, so that only the originals are rewired
            # below.
            exit_layer = latest[block[-1]]
            copied: dict[int, int] = {}
            for layer in block:
                layers.append(_copy(layers[layer - 1], copied, exit_layer))
                copied[layer] = len(layers)
            latest = copied
        for layer in set(range(1, len(graph) + 1)).difference(block):
            kind, inputs, settings = layers[layer - 1]
            layers[layer - 1] = (kind, tuple(latest.get(i, i) for i in inputs), settings)
    return canonical(layers, len(graph))


def _copy(layer: Layer, copied: Mapping[int, int], outside: int) -> Layer:
    kind, inputs, settings = layer
    sources = tuple(copied.get(source, outside) for source in inputs)
    if kind == "conv":
        channels, _, kernel = settings
        return kind, sources, (channels, 1, kernel)
    return (BYPASS if kind == "pool" else kind), sources, settings
