"""Who is shown what, how often: watched sets and frames."""
