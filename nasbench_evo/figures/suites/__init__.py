"""What every suite has: regret, accuracy, final rows, shared weights, trainings."""
