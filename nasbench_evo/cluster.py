"""Moved to `nasbench_evo.replays.simulated_workers`."""

from nasbench_evo.moved import alias

__getattr__ = alias(__name__, "nasbench_evo.replays.simulated_workers")
