"""What is wrong with a world, in words that name the place and the fix."""

from __future__ import annotations


class WorldFault(ValueError):
    """The world asked for cannot exist; the text names the field and the fix."""


class WorldFileFault(WorldFault):
    """A world file cannot be used. The text is one line: ``file: path.to.field: problem; fix``."""

    def __init__(self, file: str, path: str, problem: str, fix: str) -> None:
        super().__init__(f"{file}: {path}: {problem}; {fix}" if path else f"{file}: {problem}; {fix}")
        self.file, self.path, self.problem, self.fix = file, path, problem, fix
