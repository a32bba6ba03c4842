"""Start a dev shard, let a swarm of bots drive in it, end it, and exit with the swarm's verdict.

python -m scripts.with_shard --bots 300 --seconds 60 -- --zones 8

What follows ``--`` goes to the shard, everything else to ``scripts.swarm``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scripts import swarm
from scripts.running_shard import RunningShard, ShardFailed


def main(argv: Sequence[str]) -> int:
    """Run both; the swarm's exit code, or 1 when the shard did not start or end well."""
    at = argv.index("--") if "--" in argv else len(argv)
    try:
        with RunningShard(argv[at + 1 :]) as shard:
            print(f"shard ready at {shard.url}, instance {shard.instance}", file=sys.stderr)
            verdict = swarm.main([*argv[:at], "--url", shard.url])
            code = shard.stop()
    except ShardFailed as fault:
        print(f"with_shard: {fault}", file=sys.stderr)
        return 1
    for record in shard.log:
        if record["level"] in ("warning", "error") or record["message"] == "stopped":
            print(f"shard: {record['level']}: {record['message']} {_rest(record)}", file=sys.stderr)
    if code:
        print(f"with_shard: the shard ended with exit code {code}", file=sys.stderr)
    return verdict or int(code != 0)


def _rest(record: dict[str, object]) -> str:
    return " ".join(
        f"{key}={round(value, 1) if isinstance(value, float) else value}"
        for key, value in record.items()
        if key not in ("time", "level", "logger", "message")
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
