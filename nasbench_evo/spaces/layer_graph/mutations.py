"""EIGEN's nine elementary mutations of a layer graph (Ren et al. 2019, Section 3.1).

Each takes a valid graph in canonical form and returns another one, drawn uniformly among the
places where it applies, or None where it applies nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nasbench_evo.randomness import Stream
from nasbench_evo.spaces.layer_graph.structure import (
    BYPASS,
    SETTINGS,
    Graph,
    Layer,
    canonical,
    feature_sizes,
)

NEW_CONVOLUTION = (32, 1, 3)  # channels, stride, kernel of an inserted one

Place = tuple[int, tuple[tuple[int, int], ...]]  # a source, and the (layer, slot)s that read it
Mutation = Callable[[Graph, int, Stream], Graph | None]


def places(graph: Graph) -> list[Place]:
    """Return where a layer can be inserted: each edge, and each whole output that several read."""
    readers: dict[int, list[tuple[int, int]]] = {}
    for layer, (_, inputs, _) in enumerate(graph, start=1):
        for slot, source in enumerate(inputs):
            readers.setdefault(source, []).append((layer, slot))
    found: list[Place] = []
    for source, edges in readers.items():
        found += [(source, (edge,)) for edge in edges]
        if len(edges) > 1:
            found.append((source, tuple(edges)))
    return found


def _insert(graph: Graph, place: Place, layer: Layer) -> Graph:
    layers: list[Layer] = [*graph, layer]
    for reader, slot in place[1]:
        kind, inputs, settings = layers[reader - 1]
        rewired = (*inputs[:slot], len(layers), *inputs[slot + 1 :])
        layers[reader - 1] = (kind, rewired, settings)
    return canonical(layers, len(graph))


def _shuffled_places(graph: Graph, rng: Stream) -> list[Place]:
    found = places(graph)
    rng.shuffle(found)
    return found


def _is_valid(graph: Graph, image_size: int) -> bool:
    return not isinstance(feature_sizes(graph, image_size), str)


def insert_convolution(graph: Graph, _image_size: int, rng: Stream) -> Graph:
    """INSERT-CONVOLUTION: 3x3, 32 channels, stride 1; it applies everywhere, at any size."""
    place = rng.choice(places(graph))
    return _insert(graph, place, ("conv", (place[0],), NEW_CONVOLUTION))


def insert_pooling(graph: Graph, image_size: int, rng: Stream) -> Graph | None:
    """INSERT-POOLING: 2x2, stride 2, where no map becomes too small and concatenations hold."""
    for place in _shuffled_places(graph, rng):
        child = _insert(graph, place, ("pool", (place[0],), ()))
        if _is_valid(child, image_size):
            return child
    return None


def insert_concatenation(graph: Graph, image_size: int, rng: Stream) -> Graph | None:
    """INSERT-CONCATENATION: join another map of the same size to the one at a place.

    The map of the place comes first, so that removing the concatenation restores the graph.
    """
    sizes = feature_sizes(graph, image_size)
    for place in _shuffled_places(graph, rng):
        source, readers = place
        # a map from below the place would close a cycle
        below = _descendants(graph, [layer for layer, _ in readers])
        # the image and every layer but the last, the global pooling
        others = [
            other
            for other in range(len(graph))
            if sizes[other] == sizes[source] and other != source and other not in below
        ]
        if others:
            return _insert(graph, place, ("concat", (source, rng.choice(others)), ()))
    return None


def _descendants(graph: Graph, layers: Sequence[int]) -> set[int]:
    """Return `layers` and every layer that depends on one of them."""
    found = set(layers)
    for layer in range(min(layers) + 1, len(graph) + 1):
        if not found.isdisjoint(graph[layer - 1][1]):
            found.add(layer)
    return found


def _removal(kind: str) -> Mutation:
    def remove(graph: Graph, image_size: int, rng: Stream) -> Graph | None:
        found = [k for k, layer in enumerate(graph) if layer[0] == kind]
        rng.shuffle(found)
        for k in found:
            bypass: Layer = (BYPASS, graph[k][1][:1], ())
            child = canonical((*graph[:k], bypass, *graph[k + 1 :]), len(graph))
            if _is_valid(child, image_size):
                return child
        return None

    remove.__doc__ = f"Remove a {kind} layer: its (first) input goes to its consumers."
    return remove


def _alteration(setting: int) -> Mutation:
    options = SETTINGS["conv"][setting]

    def alter(graph: Graph, image_size: int, rng: Stream) -> Graph | None:
        found = [k for k, layer in enumerate(graph) if layer[0] == "conv"]
        rng.shuffle(found)
        for k in found:
            kind, inputs, settings = graph[k]
            value = options[rng.other(options.index(settings[setting]), len(options))]
            altered: Layer = (kind, inputs, (*settings[:setting], value, *settings[setting + 1 :]))
            child = (*graph[:k], altered, *graph[k + 1 :])
            if _is_valid(child, image_size):
                return child
        return None

    alter.__doc__ = f"Set a convolution's setting {setting} to another of {options}."
    return alter


MUTATIONS: dict[str, Mutation] = {
    "insert_convolution": insert_convolution,
    "insert_concatenation": insert_concatenation,
    "insert_pooling": insert_pooling,
    "remove_convolution": _removal("conv"),
    "remove_concatenation": _removal("concat"),
    "remove_pooling": _removal("pool"),
    "alter_channels": _alteration(0),
    "alter_stride": _alteration(1),
    "alter_kernel": _alteration(2),
}


def mutate(graph: Graph, image_size: int, rng: Stream) -> Graph:
    """Return `graph` after one mutation drawn uniformly; one that cannot apply is redrawn."""
    remaining = list(MUTATIONS.values())
    while True:  # insert_convolution always applies
        operation = remaining.pop(rng.below(len(remaining)))
        child = operation(graph, image_size, rng)
        if child is not None:
            return child
