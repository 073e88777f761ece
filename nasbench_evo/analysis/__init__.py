"""What the stored runs say: statistics, comparisons, published figures."""
