"""Moved to `nasbench_evo.replays.wallclock`."""

from nasbench_evo.moved import alias

__getattr__ = alias(__name__, "nasbench_evo.replays.wallclock")
