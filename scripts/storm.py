"""Let many clients arrive at once, with ES256 tokens, while bots drive: ``python -m scripts.storm --clients 2000``.

Exit code 0: all were admitted, the drivers saw no violation, and 99 of 100 ticks began within LATE_MS of their time. It
starts a shard of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import secrets
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from websockets.exceptions import InvalidHandshake

from scripts.bots.connection import BotConnection
from scripts.mint_token import LOCAL_ISSUER
from scripts.running_shard import RunningShard
from shard.access.auth import PLAYER_ROLE
from shared.messages import Auth, AuthPayload, Error, Welcome, decode_server, encode

SETTLE_S = 3.0
"""The drivers are on the road by then."""
PATIENCE_S = 20.0
TRIES = 5
LATE_MS = 50.0
"""A period: by then the next tick is due. On a machine with nothing else to do p99 is a tenth of it."""


class Arrival:
    """One client: connects, authenticates, waits for its welcome."""

    def __init__(self, token: str, results: Counter[str]) -> None:
        self._token = token
        self._results = results
        self._done = asyncio.Event()
        self._result = "no answer"
        self.connection: BotConnection | None = None

    async def come(self, url: str) -> None:
        """Try until there is an answer, as a client does whose handshake was refused."""
        for attempt in range(TRIES):
            try:
                self.connection = await BotConnection.open(url)
                break
            except (OSError, TimeoutError, InvalidHandshake) as fault:
                self._result = type(fault).__name__
                await asyncio.sleep(0.5 * 2**attempt)
        if self.connection is not None:
            self.connection.listen(self)
            self.connection.send_now(encode(Auth(AuthPayload(self._token))))
            try:
                await asyncio.wait_for(self._done.wait(), PATIENCE_S)
            except TimeoutError:
                self._result = "no answer"
        self._results[self._result] += 1

    def received(self, message: bytes, *, is_text: bool) -> None:
        """A message of the shard."""
        parsed = decode_server(message)
        if isinstance(parsed, Welcome | Error) and not self._done.is_set():
            self._result = "admitted" if isinstance(parsed, Welcome) else parsed.payload.code
            self._done.set()

    def ended(self, code: int, reason: str) -> None:
        """The connection is over."""
        if not self._done.is_set():
            self._result = f"closed {code}"
            self._done.set()


async def storm(url: str, tokens: Sequence[str], over_s: float) -> tuple[Counter[str], float]:
    """All arrive within ``over_s``; what became of them, and how long it took."""
    results: Counter[str] = Counter()
    arrivals = [Arrival(token, results) for token in tokens]
    began_s = time.perf_counter()
    tasks = []
    for number, arrival in enumerate(arrivals):
        await asyncio.sleep(max(0.0, began_s + number * over_s / len(arrivals) - time.perf_counter()))
        tasks.append(asyncio.create_task(arrival.come(url)))
    await asyncio.gather(*tasks)
    took_s = time.perf_counter() - began_s
    for arrival in arrivals:
        if arrival.connection is not None:
            arrival.connection.transport.abort()
    await asyncio.sleep(0.5)
    return results, took_s


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; print what became of all; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.storm", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=2000, metavar="N")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="over which they arrive (default 5)")
    parser.add_argument("--drivers", type=int, default=20, metavar="N", help="strict bots on the road (default 20)")
    flags = parser.parse_args(sys.argv[1:] if argv is None else argv)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "storm", "alg": "ES256", "use": "sig"}
    now = int(time.time())
    claims = {"aud": PLAYER_ROLE, "role": PLAYER_ROLE, "iss": LOCAL_ISSUER, "iat": now, "exp": now + 3600}
    tokens = [
        jwt.encode({**claims, "sub": str(uuid.uuid4())}, key, "ES256", headers={"kid": "storm"})
        for _ in range(flags.clients)
    ]
    env = {"SUPABASE_JWT_SECRET": secrets.token_hex(32), "SUPABASE_JWKS": json.dumps({"keys": [jwk]})}
    with RunningShard(["--zones", "2", "--world-size", "512"], env) as shard:
        seconds = str(SETTLE_S + flags.seconds + 6)
        command = [sys.executable, "-m", "scripts.swarm", "--url", shard.url, "--bots", str(flags.drivers)]
        drivers = subprocess.Popen(
            [*command, "--seconds", seconds, "--ramp", "1", "--json"],
            stdout=subprocess.PIPE,
            env={**os.environ, **env},
            text=True,
        )
        time.sleep(SETTLE_S)
        results, took_s = asyncio.run(storm(shard.url, tokens, flags.seconds))
        out, _ = drivers.communicate(timeout=60)
        code = shard.stop()
    driven = json.loads(out)
    stopped = shard.log[-1]
    print(f"clients        {dict(results)} within {took_s:.1f} s")
    print(f"ticks          {stopped['ticks']}, late to begin p99 {stopped['tick_late_p99_ms']} ms,", end=" ")
    print(f"max {stopped['tick_late_max_ms']} ms; without a zone {stopped['late_ticks']}")
    print(f"drivers        {driven['violations']} violations, move to seen p99 {driven['moveToSeenMs']['p99']} ms")
    faults = {
        f"{flags.clients - results['admitted']} were not admitted": results["admitted"] != flags.clients,
        f"drivers saw {driven['violationsByKind']}, {driven['disconnects']}": not driven["ok"],
        f"ticks begin late by more than {LATE_MS:.0f} ms": stopped["tick_late_p99_ms"] > LATE_MS,
        f"exit code {code}": code != 0,
    }
    found = [text for text, wrong in faults.items() if wrong]
    print(f"NOT well: {'; '.join(found)}" if found else "all well")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
