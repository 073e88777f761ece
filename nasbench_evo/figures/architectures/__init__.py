"""Architectures as graphs and cells as staircases."""
