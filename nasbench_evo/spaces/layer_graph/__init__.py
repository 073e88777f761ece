"""The space of EIGEN: acyclic layer graphs."""
