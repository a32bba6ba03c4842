"""One zone of the world, simulated by one process."""
