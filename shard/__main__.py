"""``python -m shard``. The guard matters: spawned zone processes import this module again."""

import sys

from shard.cli import main

if __name__ == "__main__":
    sys.exit(main())
