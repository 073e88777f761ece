"""The DARTS network and its supernet."""
