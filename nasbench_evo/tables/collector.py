"""Moved to `nasbench_evo.tables.importing.collector`."""

from nasbench_evo.moved import alias

__getattr__ = alias(__name__, "nasbench_evo.tables.importing.collector")
