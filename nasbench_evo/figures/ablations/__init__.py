"""What hyper-parameters change, generation by generation, and the papers' own figures."""
