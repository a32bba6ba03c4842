"""What outlives the main process: checkpoints."""
