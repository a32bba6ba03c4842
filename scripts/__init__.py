"""Commands for operators and developers, each run as ``python -m scripts.<name>``."""
