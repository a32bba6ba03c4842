"""``python -m shard``. The guard matters: spawned zone processes import this module again, and need nothing of it."""

import sys

if __name__ == "__main__":
    from shard.cli import main

    sys.exit(main(sys.argv[1:]))
