"""A running shard fetches its key set again by itself."""

from __future__ import annotations

import time

from scripts.running_shard import RunningShard
from shard.access.keys import RETRY_S
from tests.fakes.key_server import KeyServer, SigningKey
from tests.socket_shard import SECRET


def test_a_set_that_could_not_be_fetched_at_the_start_is_fetched_later() -> None:
    with KeyServer(SigningKey.make("late")) as server:
        server.mode = "fail"
        env = {"SUPABASE_JWKS_URL": server.url, "SUPABASE_JWT_SECRET": SECRET}
        with RunningShard(["--zones", "1", "--world-size", "512"], env) as shard:
            assert len(server.paths) == 1, "at the start; the secret admits meanwhile"
            server.mode = "serve"
            end_s = time.monotonic() + 1.1 * RETRY_S + 5.0
            while len(server.paths) < 2:
                assert time.monotonic() < end_s, "nobody tries again"
                time.sleep(0.2)
            assert shard.wait_for("keys changed", 5.0)["kids"] == "late"
