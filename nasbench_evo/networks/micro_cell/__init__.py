"""The network of GeneticNAS and its supernet."""
