"""Learning from data: one loop for every method that trains, over any task."""
