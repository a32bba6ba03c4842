"""The keys that tokens are verified with, kept current while the shard runs.

What is configured (a secret, an inline key set: ``load_keys``) stays as it is. Beside it there may be the address of a
key set (``shard/access/key_set.py``), which is fetched in a thread

- at start: without any other key the shard does not start when that fails;
- every 300 s in the background. A failure is logged and tried again after RETRY_S, and the old set is kept for an hour
  (``keep_s``): a Supabase that is down for minutes locks nobody out, one that is down for long ends trust;
- when a token names a key that is not here (``refreshed``), at most once per COOLDOWN_S for the whole process, however
  many tokens with invented names come in. All who wait share one fetch, and wait WAIT_S at most.

Rotation needs no restart: old and new keys are in the set side by side until the last old token has expired.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias, TypeVar

from shard.access.auth import AuthFault, KeyFault, KeyPools, PublicKey
from shard.access.key_set import KeySetAddress, fetch_key_set

REFRESH_S: Final = 300.0
"""Give or take a tenth, so that many shards do not ask together. Supabase's edge caches the set for 600 s anyway."""
RETRY_S: Final = 30.0
"""After a failure in the background, give or take a tenth."""
COOLDOWN_S: Final = 30.0
"""Between two fetches that tokens with unknown keys cause; jose, go-oidc and PyJWT settled on the same."""
WAIT_S: Final = 2.0
"""How long a login waits for a fetch."""
KEEP_S: Final = 3600.0
"""How long the last good set is used while fetching fails."""
NOT_READY: Final = AuthFault(
    "not_ready",
    "the server cannot check this token yet: try again in a few seconds",
    "the key set could not be fetched in time",
)
"""The answer to a token whose key could not be looked for."""

T = TypeVar("T")

log = logging.getLogger(__name__)


Fetch: TypeAlias = Callable[[KeySetAddress], tuple[PublicKey, ...]]
"""Gets a set; may block for TIMEOUT_S. Raises KeyFault."""


class KeyStore:
    """The keys of one shard. Call ``load`` before the event loop runs, and have ``run`` as a task of it."""

    def __init__(
        self,
        configured: KeyPools,
        address: KeySetAddress | None = None,
        *,
        keep_s: float = KEEP_S,
        wait_s: float = WAIT_S,
        fetch: Fetch = fetch_key_set,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._configured = configured
        self._address = address
        self._keep_s = keep_s
        self._wait_s = wait_s
        self._fetch = fetch
        self._now_s = now_s
        self._sleep = sleep
        self._spread = spread
        self._pools = configured
        self._tried_s = -math.inf
        """When the last fetch began."""
        self._good_s = -math.inf
        """When the last fetch that succeeded began."""
        self._current = False
        """The last fetch succeeded."""
        self._under_way: asyncio.Task[bool] | None = None
        self.fetches = 0
        """Fetches begun."""

    @property
    def pools(self) -> KeyPools:
        """What ``verify`` takes now. Immutable; a refresh puts another in its place."""
        return self._pools

    @property
    def retry_after_s(self) -> float:
        """When a login that was answered NOT_READY has a chance: the next fetch that one may cause."""
        return max(self._tried_s + COOLDOWN_S - self._now_s(), 1.0)

    def describe(self) -> str:
        """One line for the start banner, without anything secret."""
        source = f"; key set from {self._address.shown}" if self._address else ""
        return self._pools.describe() + source

    def load(self) -> None:
        """Fetch the set for the first time. Blocks for TIMEOUT_S at most.

        Raises KeyFault when that fails and no other key is configured; otherwise a failure is only logged.
        """
        if self._address is None:
            return
        self._begin()
        try:
            self._take(self._fetch(self._address))
        except KeyFault as fault:
            if self._configured.is_empty:
                raise
            log.warning("key set not fetched, going on with the configured keys", extra={"why": str(fault)})

    async def run(self) -> None:
        """Keep the set current until cancelled."""
        if self._address is None:
            return
        try:
            while True:
                await self._sleep((REFRESH_S if self._current else RETRY_S) * self._spread(0.9, 1.1))
                await asyncio.shield(self._fetch_once())
        finally:
            if self._under_way is not None:
                self._under_way.cancel()

    async def refreshed(self) -> bool:
        """A token names a key that is not here: fetch the set anew, if that is due, and wait WAIT_S at most.

        True: the pools are as good as they get, verify again and let that stand. False: nobody can tell now, answer
        NOT_READY. Do not read the socket meanwhile.
        """
        if self._address is None:
            return True
        if self._under_way is None and self._now_s() - self._tried_s < COOLDOWN_S:
            return self._current
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(self._fetch_once())
        except TimeoutError:
            return False

    def _fetch_once(self) -> asyncio.Task[bool]:
        """The fetch that is under way, or a new one."""
        if self._under_way is None:
            self._begin()
            self._under_way = asyncio.get_running_loop().create_task(self._fetch_in_thread())
            self._under_way.add_done_callback(self._done)
        return self._under_way

    def _done(self, _: asyncio.Task[bool]) -> None:
        self._under_way = None

    async def _fetch_in_thread(self) -> bool:
        """Whether the set could be fetched. Never raises."""
        assert self._address is not None, "nothing is fetched without an address"
        try:
            self._take(await _in_thread(partial(self._fetch, self._address)))
            return True
        except KeyFault as fault:
            log.warning("key set not refreshed", extra={"why": str(fault), "age_s": round(self._age_s())})
        except Exception:
            log.exception("key set not refreshed")
        if self._age_s() > self._keep_s and self._pools is not self._configured:
            self._pools = self._configured
            log.error("key set too old, its keys are not used any more", extra={"age_s": round(self._age_s())})
        return False

    def _begin(self) -> None:
        self.fetches += 1
        self._current = False
        self._tried_s = self._now_s()

    def _age_s(self) -> float:
        """Age of the last good set; 0 where there never was one, so that nothing is given up."""
        return self._now_s() - self._good_s if self._good_s > -math.inf else 0.0

    def _take(self, fetched: tuple[PublicKey, ...]) -> None:
        """The set is here. Raises KeyFault when it would leave no key at all."""
        configured = self._configured
        if not fetched and configured.is_empty:
            raise KeyFault(
                f"{self._origin}: has no ES256 or RS256 key; a project without them needs SUPABASE_JWT_SECRET"
            )
        own = {key.kid for key in configured.public_keys}
        keys = (*configured.public_keys, *(key for key in fetched if key.kid not in own))
        self._good_s, self._current = self._tried_s, True
        if {key.kid for key in keys} != {key.kid for key in self._pools.public_keys}:
            log.info("keys changed", extra={"kids": ", ".join(key.kid for key in keys) or "none"})
        self._pools = replace(configured, public_keys=keys)

    @property
    def _origin(self) -> str:
        return f"{self._address.origin}: {self._address.shown}" if self._address else "keys"


async def _in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread of its own. asyncio.to_thread would do, but its threads hold up the exit of the process.

    A resolver may block far beyond TIMEOUT_S; the shard does not wait for it when it ends.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, fault: BaseException | None) -> None:
        if future.done():
            return
        if fault is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(fault)

    def body() -> None:
        result, fault = None, None
        try:
            result = work()
        except BaseException as caught:
            fault = caught
        with suppress(RuntimeError):  # the loop is closed, nobody waits any more
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=body, name="key set", daemon=True).start()
    return await future
