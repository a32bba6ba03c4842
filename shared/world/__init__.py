"""What the world is: its presets, its size, and how zones divide it."""
