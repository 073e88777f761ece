"""A CUDA machine without a GPU: on a CPU build of torch, tensors that say `cuda:i` and behave so.

Inside `with fake_cuda() as machine:` a FakeTensor holds its values on the CPU, so that what is
computed is exactly what the CPU computes. What it adds is what a GPU would refuse or pay for:

- An operation on tensors of different devices raises, as does a generator of another device.
- A copy from memory that is not pinned, or that is not asked to be non-blocking, makes the host
  wait (`machine.copies`); so does reading a value (`machine.waits`). Under
  `torch.cuda.set_sync_debug_mode("error")` a read raises.
- Each operation that is not a view counts as a kernel (`machine.kernels`).
- The state of a CUDA generator is 16 bytes, so that a CPU generator cannot go on from it.
- In torch's deterministic mode an operation raises whose CUDA kernel has no order of additions.
- `machine.refuse` may raise for lack of memory, operation by operation.

Not like a GPU: draws (the CPU's with the same seed), rounding, autocast's list of operations (the
CPU's), asynchronous execution, streams, and kernels that autograd fuses.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch.nn.utils import clip_grad
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

CPU = torch.device("cpu")
_OfTorch = torch.Generator
aten = torch.ops.aten

_COPIES = {aten._to_copy.default, aten.copy_.default}
_INDEXING = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
}
_READS = {  # their result, or its size, is known to the host only once they are done
    aten._local_scalar_dense.default,
    aten._unique2.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten.repeat_interleave.Tensor,
    aten.unique_dim.default,
}
_UNORDERED = {  # CUDA has no deterministic kernel of theirs (docs: use_deterministic_algorithms)
    aten._adaptive_avg_pool2d_backward.default,
    aten.adaptive_max_pool2d_backward.default,
    aten.cumsum.default,
    aten.cumsum_.default,
    aten.grid_sampler_2d_backward.default,
    aten.histc.default,
    aten.kthvalue.default,
    aten.median.dim,
    aten.nll_loss2d_forward.default,
    aten.reflection_pad2d_backward.default,
    aten.upsample_bicubic2d_backward.default,
    aten.upsample_bilinear2d_backward.default,
}
_STATE_BYTES = 16  # of a CUDA generator


class WrongDevice(RuntimeError):
    """What torch raises as a RuntimeError where devices do not fit."""


class FakeTensor(torch.Tensor):
    """Values on the CPU that say they are on `home`."""

    values: torch.Tensor
    home: torch.device

    @staticmethod
    def __new__(cls, values: torch.Tensor, home: torch.device) -> FakeTensor:
        # To autograd, which runs in C++ and would ask for CUDA kernels, it is on the CPU.
        made: FakeTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            layout=values.layout,
            device=CPU,
        )
        made.values, made.home = values, home
        return made

    def __init__(self, values: torch.Tensor, home: torch.device) -> None:
        """Nothing: `__new__` does it all."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise WrongDevice(f"{func} on {cls.__name__} after the end of `fake_cuda`")

    def __tensor_flatten__(self) -> tuple[list[str], torch.device]:
        return ["values"], self.home

    @staticmethod
    def __tensor_unflatten__(inner: Any, home: Any, size: Any, stride: Any) -> FakeTensor:
        return FakeTensor(inner["values"], home)

    def __repr__(self, **_: Any) -> str:
        return f"FakeTensor({self.values}, {self.home})"

    # What torch answers in C++, from the device that it was told.
    device = property(lambda self: self.home)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    def get_device(self) -> int:
        return self.home.index

    def cpu(self, memory_format: Any = torch.preserve_format) -> torch.Tensor:
        return self.to(CPU)

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert {self.home} device type tensor to numpy.")

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        if args and isinstance(args[0], torch.Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        copy = kwargs.pop("copy", False)
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
        target = self.home if device is None else indexed(device)
        if not copy and layout is None and target == self.home and dtype in (None, self.dtype):
            return self
        return aten._to_copy.default(
            self,
            dtype=dtype or self.dtype,
            device=target,
            non_blocking=non_blocking,
            memory_format=layout,
        )


class Generator(_OfTorch):
    """A generator of any device; that of a GPU draws as the CPU's with the same seed."""

    homes: ClassVar[dict[int, torch.device]] = {}  # by address: C++ hands on another Python object
    _states: ClassVar[dict[bytes, torch.Tensor]] = {}  # the CPU's state behind 16 bytes

    def __new__(cls, device: Any = "cpu") -> Generator:
        made = super().__new__(cls)
        made.home = indexed(device)
        cls.homes[made._cdata] = made.home
        weakref.finalize(made, cls.homes.pop, made._cdata, None)
        return made

    def __init__(self, device: Any = "cpu") -> None:
        """Nothing: `__new__` does it all."""

    device = property(lambda self: self.home)  # type: ignore[assignment]

    def get_state(self) -> torch.Tensor:
        state = super().get_state()
        if self.home.type == "cpu":
            return state
        short = hashlib.sha256(state.numpy().tobytes()).digest()[:_STATE_BYTES]
        self._states[short] = state
        return torch.frombuffer(bytearray(short), dtype=torch.uint8)

    def set_state(self, new_state: torch.Tensor) -> Generator:
        if self.home.type == "cuda":
            if new_state.device.type != "cpu" or len(new_state) != _STATE_BYTES:
                raise RuntimeError("RNG state is wrong size")
            new_state = self._states[new_state.numpy().tobytes()]
        super().set_state(new_state)
        return self

    # The state as it is, for the machine's own use.
    full_state = property(lambda self: _OfTorch.get_state(self))


def indexed(device: Any) -> torch.device:
    """Return a device with its number: `cuda` is `cuda:0`, as no test chooses a current one."""
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", 0)
    return device


class Operation:
    """What is asked again and again of one of torch's operations."""

    def __init__(self, func: Any) -> None:
        tags, arguments = func.tags, func._schema.arguments
        self.name = str(func)
        self.view = func.is_view
        self.kernel = not func.is_view and "empty" not in self.name
        self.mixes = torch.Tag.pointwise in tags or "foreach" in self.name
        self.seeded = torch.Tag.nondeterministic_seeded in tags
        self.written = [
            (i, argument.name)
            for i, argument in enumerate(arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        self.aliases = self.view or any(r.alias_info is not None for r in func._schema.returns)


class Machine(TorchDispatchMode):
    """Runs every operation of a block on the CPU, and keeps the books."""

    def __init__(self, devices: int) -> None:
        super().__init__()
        self.devices = devices
        self.kernels: Counter[str] = Counter()  # by operation
        self.copies: Counter[str] = Counter()  # to a device, that block; by line of the package
        self.waits: Counter[str] = Counter()  # for a device, by line of the package
        self.refuse: Callable[[Any, list[torch.Tensor]], None] | None = None
        self.sync_mode: int | str = "default"
        self.backward_on = CPU  # the device of the backward pass that is running
        self.generators = [Generator(f"cuda:{i}") for i in range(devices)]
        self._operations: dict[Any, Operation] = {}

    def reset(self) -> None:
        """Begin new books."""
        for book in (self.kernels, self.copies, self.waits):
            book.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None and torch._C._current_graph_task_id() != -1:
            kwargs["device"] = self.backward_on  # autograd asks for the device that it was told
        operation = self._operations.get(func)
        if operation is None:
            operation = self._operations[func] = Operation(func)
        leaves = _leaves([*args, *kwargs.values()])
        tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
        generator = next((x for x in leaves if isinstance(x, torch._C.Generator)), None)
        home = self._home(func, operation, args, kwargs, tensors)
        _check(operation, args, kwargs, home, generator)
        self._count(func, operation, args, kwargs, tensors, home)
        if home.type == "cuda":
            kwargs.pop("pin_memory", None)
            if kwargs.get("device") is not None:
                kwargs["device"] = CPU
        given = [_held(x) for x in args], {name: _held(x) for name, x in kwargs.items()}
        own = operation.seeded and home.type == "cuda" and generator is None
        out = self._drawn(func, home, *given) if own else _in_any_type(func, *given)
        if func is aten._to_copy.default and out is given[0][0]:
            out = out.clone()
        if home.type != "cuda":
            return out
        out = _wrapped(out, home)
        return return_and_correct_aliasing(func, args, kwargs, out) if operation.aliases else out

    # -- where ---------------------------------------------------------------------------------

    def _home(
        self, func: Any, operation: Operation, args: Any, kwargs: Any, tensors: list[torch.Tensor]
    ) -> torch.device:
        """Return the device that an operation runs on; raise where its tensors disagree."""
        if kwargs.get("device") is not None:
            home = indexed(kwargs["device"])
            if home.type == "cuda" and home.index >= self.devices:
                raise RuntimeError("CUDA error: invalid device ordinal")
            return home
        if func in _COPIES:
            return tensors[0].device
        judged = tensors
        if func in _INDEXING:  # indices may lie on the CPU
            judged = [args[0], *(i for i in args[1] if i is not None and i.is_cuda)]
            judged += [v for v in args[2:] if isinstance(v, torch.Tensor) and v.dim()]
        elif operation.mixes:  # a number on the CPU may stand beside tensors of a device
            judged = [x for x in tensors if x.dim() or x.is_cuda] or tensors
        homes = {x.device for x in judged}
        if len(homes) > 1:
            found = ", ".join(f"{list(x.shape)} on {x.device}" for x in tensors)
            raise WrongDevice(f"Expected all tensors to be on the same device: {func} got {found}")
        return homes.pop() if homes else CPU

    # -- what it costs -------------------------------------------------------------------------

    def _count(
        self,
        func: Any,
        operation: Operation,
        args: Any,
        kwargs: Any,
        tensors: list[torch.Tensor],
        home: torch.device,
    ) -> None:
        on_device = any(x.is_cuda for x in tensors)
        if func in _COPIES:
            source = args[1] if func is aten.copy_.default else args[0]
            if source.is_cuda and home.type == "cpu":
                self._wait(func)
            elif not source.is_cuda and home.type == "cuda":
                self._copied(source, kwargs.get("non_blocking") or (len(args) > 2 and args[2]))
        elif func in _READS and on_device and kwargs.get("output_size") is None:
            self._wait(func)
        elif func in _INDEXING and on_device:
            for index in (i for i in args[1] if i is not None):
                if not index.is_cuda:
                    self._copied(index, False)
                elif index.dtype in (torch.bool, torch.uint8):
                    self._wait(func)  # for how many are chosen
        if operation.kernel and (on_device or home.type == "cuda"):
            self.kernels[operation.name] += 1
            if func in _UNORDERED and torch.are_deterministic_algorithms_enabled():
                raise RuntimeError(f"{func} does not have a deterministic implementation")
            if self.refuse is not None:
                self.refuse(func, tensors)

    def _copied(self, source: torch.Tensor, non_blocking: bool) -> None:
        if not (non_blocking and getattr(source, "pinned", False)):
            self.copies[_line()] += 1

    def _wait(self, func: Any) -> None:
        self.waits[f"{_line()} {func}"] += 1
        if self.sync_mode in (2, "error"):
            raise RuntimeError(f"called a synchronizing CUDA operation: {func}")

    def _drawn(self, func: Any, home: torch.device, args: Any, kwargs: Any) -> Any:
        """Return what an operation gives that draws from its device's global generator."""
        generator, before = self.generators[home.index], torch.get_rng_state()
        torch.set_rng_state(generator.full_state)
        try:
            return func(*args, **kwargs)
        finally:
            _OfTorch.set_state(generator, torch.get_rng_state())
            torch.set_rng_state(before)


def _check(
    operation: Operation, args: Any, kwargs: Any, home: torch.device, generator: Any
) -> None:
    """Raise where an operation draws from, or writes to, another device."""
    if home.type == "meta":
        return
    its = home if generator is None else Generator.homes.get(generator._cdata, CPU)
    if its != home:
        raise WrongDevice(f"Expected a generator on {home}, got {its}: {operation.name}")
    for i, name in operation.written:
        for written in _leaves([args[i] if i < len(args) else kwargs.get(name)]):
            if isinstance(written, torch.Tensor) and written.device != home:
                raise WrongDevice(
                    f"{operation.name} on {home} writes to a tensor on {written.device}"
                )


def _leaves(values: Sequence[Any]) -> list[Any]:
    """Return what is in nested lists and tuples (torch's own pytree takes ten times as long)."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, list | tuple):
            found += _leaves(value)
        else:
            found.append(value)
    return found


def _held(x: Any) -> Any:
    if isinstance(x, list | tuple) and not isinstance(x, torch.Size):
        return [_held(one) for one in x]
    return x.values if isinstance(x, FakeTensor) else x


def _wrapped(x: Any, home: torch.device) -> Any:
    if isinstance(x, list | tuple):
        return type(x)(_wrapped(one, home) for one in x)
    return FakeTensor(x, home) if type(x) is torch.Tensor else x


def _in_any_type(func: Any, args: Any, kwargs: Any) -> Any:
    """Return what an operation gives; in fp32 where the CPU has no fp16 kernel for it."""
    try:
        return func(*args, **kwargs)
    except RuntimeError as error:
        if "not implemented for 'Half'" not in str(error):
            raise

    def cast(to: torch.dtype, of: torch.dtype) -> Callable[[Any], Any]:
        return lambda x: x.to(to) if isinstance(x, torch.Tensor) and x.dtype == of else x

    widen = cast(torch.float32, torch.float16)
    out = func(*tree_map(widen, args), **tree_map(widen, kwargs))
    return tree_map(cast(torch.float16, torch.float32), out)


def _line() -> str:
    """Return the line of the package that is running; the test's where none is."""
    frame, here = sys._getframe(1), ""
    while frame is not None:
        name = frame.f_code.co_filename
        if "nasbench_evo/" in name and "/tests/" not in name:
            return f"{name.rpartition('nasbench_evo/')[2]}:{frame.f_lineno}"
        if "/tests/" in name and not name.endswith("fake_cuda.py") and not here:
            here = f"{name.rpartition('/tests/')[2]}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return here or "?"


# -- what looks at torch.cuda ------------------------------------------------------------------


def _cuda_functions(machine: Machine) -> dict[str, Any]:
    def of(device: Any) -> Generator:
        return machine.generators[device if isinstance(device, int) else indexed(device).index]

    def set_mode(mode: int | str) -> None:
        machine.sync_mode = mode

    gibibyte = 1 << 30
    return {
        "is_available": lambda: machine.devices > 0,
        "device_count": lambda: machine.devices,
        "current_device": lambda: 0,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "empty_cache": lambda: None,
        "synchronize": lambda device=None: None,
        "is_bf16_supported": lambda including_emulation=True: True,
        "is_current_stream_capturing": lambda: False,
        "get_device_name": lambda device=None: "emulated GPU",
        "get_device_capability": lambda device=None: (8, 0),
        "mem_get_info": lambda device=None: (8 * gibibyte, 8 * gibibyte),
        "max_memory_allocated": lambda device=None: 0,
        "reset_peak_memory_stats": lambda device=None: None,
        "set_sync_debug_mode": set_mode,
        "get_sync_debug_mode": lambda: machine.sync_mode,
        "get_rng_state": lambda device="cuda": of(device).get_state(),
        "set_rng_state": lambda state, device="cuda": of(device).set_state(state),
        "default_generators": machine.generators,
    }


def _torch_functions(machine: Machine) -> list[tuple[Any, str, Any]]:
    """Return (owner, name, replacement) of what does not reach the dispatcher."""
    save, load, autocast = torch.save, torch.load, torch.autocast
    to, backward, grad = torch.Tensor.to, torch.autograd.backward, torch.autograd.grad
    grouped = _foreach_utils._group_tensors_by_device_and_dtype
    of_optimizers = torch.optim.Optimizer._group_tensors_by_device_and_dtype

    class Autocast(autocast):  # type: ignore[misc, valid-type]
        def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
            super().__init__("cpu", *args, **kwargs)

    def saved(thing: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        save(tree_map(_held, thing), file, *args, **kwargs)

    def loaded(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
        found = load(file, map_location="cpu", **kwargs)
        where = indexed(map_location or "cpu")
        return tree_map(lambda x: x.to(where) if isinstance(x, torch.Tensor) else x, found)

    def moved(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if args and isinstance(args[0], FakeTensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        args = tuple(indexed(x) if isinstance(x, str | torch.device) else x for x in args)
        if kwargs.get("device") is not None:
            kwargs["device"] = indexed(kwargs["device"])
        return to(self, *args, **kwargs)

    def on_device_of(function: Any) -> Any:
        def run(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            before = machine.backward_on
            machine.backward_on = tree_leaves(tensors)[0].device
            try:
                return function(tensors, *args, **kwargs)
            finally:
                machine.backward_on = before

        return run

    def by_device(group: Any) -> Any:
        def run(lists: Any, with_indices: bool = False) -> Any:
            return {
                (next(x for x in tree_leaves(value[0]) if x is not None).device, dtype): value
                for (_, dtype), value in group(lists, with_indices).items()
            }

        return run

    def pinned(self: torch.Tensor, device: Any = None) -> torch.Tensor:
        copy = self.clone()
        copy.pinned = True  # type: ignore[attr-defined]
        return copy

    return [
        (torch, "autocast", Autocast),
        (torch, "Generator", Generator),
        (torch, "save", saved),
        (torch, "load", loaded),
        (torch.Tensor, "to", moved),
        (torch.Tensor, "pin_memory", pinned),
        (torch.autograd, "backward", on_device_of(backward)),
        (torch.autograd, "grad", on_device_of(grad)),
        (clip_grad, "_group_tensors_by_device_and_dtype", by_device(grouped)),
        (
            torch.optim.Optimizer,
            "_group_tensors_by_device_and_dtype",
            staticmethod(by_device(of_optimizers)),
        ),
    ]


@contextlib.contextmanager
def fake_cuda(devices: int = 2) -> Iterator[Machine]:
    """Run a block in which torch has `devices` CUDA devices; yield the machine."""
    machine = Machine(devices)
    patches = _torch_functions(machine)
    patches += [(torch.cuda, name, value) for name, value in _cuda_functions(machine).items()]
    supported = [torch.Tensor, torch.nn.Parameter, FakeTensor]
    for module in (_foreach_utils, sys.modules[torch.optim.Optimizer.__module__]):
        patches.append((module, "_foreach_supported_types", supported))
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    lift = torch._C._only_lift_cpu_tensors()
    for owner, name, value in patches:
        setattr(owner, name, value)
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with torch.autograd.set_multithreading_enabled(False), machine:
            yield machine
    finally:
        torch._C._set_only_lift_cpu_tensors(lift)
        for owner, name, value in before:
            setattr(owner, name, value)
