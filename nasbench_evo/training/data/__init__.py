"""Data sets: sources, file formats, batches and augmentation."""
