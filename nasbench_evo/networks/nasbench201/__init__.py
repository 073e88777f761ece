"""The NAS-Bench-201 network and its supernet."""
