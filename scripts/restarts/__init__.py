"""Workers that are killed and replaced over and over, and what is counted before and after."""
