"""Keys that stay current: refreshes, rotation, outages, and floods of tokens with invented keys.

The clock is a number and sleeping moves it, so an hour of outage takes no time. Only the tests at the end, in which
nobody answers, wait for a real thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from scripts.mint_token import LOCAL_ISSUER
from shard.access.auth import AuthFault, Claims, KeyFault, KeyPools, PublicKey, Verdict, verify
from shard.access.key_set import KeySetAddress, key_set_address
from shard.access.keys import COOLDOWN_S, NOT_READY, REFRESH_S, RETRY_S, KeyStore
from tests.fakes.key_server import KeyServer, SigningKey

ADDRESS = KeySetAddress("https://example.com/keys?apikey=hush", "SUPABASE_JWKS_URL")
SECRET = KeyPools(secret="a secret of the tests, forty bytes long.", issuer="https://example.com/auth/v1")
SUB = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOW_S = 1_000_000.0

SIGNING = [SigningKey.make(f"key-{number}") for number in range(4)]


def public(number: int) -> PublicKey:
    return PublicKey(SIGNING[number].kid, "ES256", SIGNING[number].key.public_key())


@cache
def token(number: int) -> str:
    return SIGNING[number].token(SUB, NOW_S)


class World:
    """A clock, a key-set server and a sleeper, all of them made up."""

    def __init__(self, *published: int) -> None:
        self.now_s = 5000.0
        self.published: tuple[PublicKey, ...] = tuple(map(public, published))
        self.fault: Exception | None = None
        self.fetched_at: list[float] = []
        self.threads: list[threading.Thread] = []
        self.slept: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None
        self.sleeps_max = 0

    def fetch(self, address: KeySetAddress) -> tuple[PublicKey, ...]:
        assert address is ADDRESS
        self.fetched_at.append(self.now_s)
        self.threads.append(threading.current_thread())
        if self.fault is not None:
            raise self.fault
        return self.published

    async def sleep(self, seconds: float) -> None:
        if len(self.slept) == self.sleeps_max:
            raise asyncio.CancelledError
        self.slept.append(seconds)
        self.now_s += seconds
        self.on_sleep()

    def store(self, configured: KeyPools = SECRET, address: KeySetAddress | None = ADDRESS, **how: Any) -> KeyStore:
        how = {"spread": lambda low, high: (low + high) / 2, **how}
        return KeyStore(configured, address, fetch=self.fetch, now_s=lambda: self.now_s, sleep=self.sleep, **how)

    def run(self, store: KeyStore, sleeps: int) -> None:
        """Run the background task for so many refreshes."""
        self.slept, self.sleeps_max = [], sleeps
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(store.run())


def kids(store: KeyStore) -> list[str]:
    return [key.kid for key in store.pools.public_keys]


def answer(store: KeyStore, number: int) -> Verdict:
    return verify(token(number), store.pools, NOW_S)


def is_admitted(store: KeyStore, number: int) -> bool:
    pools = replace(store.pools, issuer=LOCAL_ISSUER)
    return isinstance(verify(token(number), pools, NOW_S), Claims)


# --- at start ------------------------------------------------------------------------------------------------------


def test_the_fetched_keys_join_the_configured_ones() -> None:
    world = World(0, 1)
    inline = replace(SECRET, public_keys=(public(2),), allow_anonymous=False)
    store = world.store(inline)
    assert store.pools is inline
    store.load()
    assert store.pools == replace(inline, public_keys=(public(2), public(0), public(1)))
    assert [thread is threading.current_thread() for thread in world.threads] == [True], "load blocks, by its contract"


def test_a_configured_key_is_not_replaced_by_a_fetched_one_of_its_name() -> None:
    own = PublicKey(SIGNING[0].kid, "ES256", SIGNING[1].key.public_key())
    store = World(0).store(replace(SECRET, public_keys=(own,)))
    store.load()
    assert store.pools.public_keys == (own,)


def test_without_any_other_key_a_failed_first_fetch_ends_the_start() -> None:
    world = World()
    world.fault = KeyFault("SUPABASE_JWKS_URL: nobody answers")
    with pytest.raises(KeyFault, match="nobody answers"):
        world.store(KeyPools()).load()


def test_without_any_other_key_an_empty_set_ends_the_start() -> None:
    with pytest.raises(KeyFault, match="has no ES256 or RS256 key; a project without them needs SUPABASE_JWT_SECRET"):
        World().store(KeyPools()).load()


def test_beside_a_secret_a_failed_first_fetch_is_logged_and_an_empty_set_is_fine(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.store().load()
    assert not caplog.records
    world.fault = KeyFault("SUPABASE_JWKS_URL: nobody answers")
    store = world.store()
    store.load()
    assert store.pools is SECRET
    [record] = caplog.records
    assert (record.levelname, vars(record)["why"]) == ("WARNING", "SUPABASE_JWKS_URL: nobody answers")


def test_without_an_address_nothing_is_fetched() -> None:
    world = World()
    store = world.store(address=None)
    store.load()
    asyncio.run(store.run())
    assert asyncio.run(store.refreshed())
    assert world.fetched_at == []
    assert store.pools is SECRET


def test_the_banner_names_source_and_keys_and_nothing_secret() -> None:
    store = World(0).store()
    store.load()
    assert "ES256 keys: key-0" in store.describe()
    assert store.describe().endswith("; key set from https://example.com/keys")
    assert "secret of the tests" not in store.describe()
    assert "key set from" not in World().store(address=None).describe()


# --- in the background ---------------------------------------------------------------------------------------------


def test_it_is_refreshed_every_five_minutes_give_or_take() -> None:
    world = World(0)
    store = world.store(spread=lambda low, high: low if len(world.slept) % 2 else high)
    store.load()
    world.run(store, 4)
    assert world.slept == pytest.approx([330, 270, 330, 270])
    assert len(world.fetched_at) == 5


def test_fetching_leaves_the_event_loop_alone() -> None:
    world = World(0)
    store = world.store()
    world.run(store, 1)
    [thread] = world.threads
    assert thread is not threading.main_thread()
    assert thread.daemon, "the end of the process does not wait for a resolver"


def test_rotation_admits_old_and_new_tokens_without_a_restart() -> None:
    world = World(0)
    store = world.store()
    store.load()
    admitted = []

    def rotate() -> None:
        """Standby, in use, revoked: as Supabase rotates."""
        admitted.append([is_admitted(store, number) for number in (0, 1)])
        world.published = tuple(map(public, [(0, 1), (0, 1), (1,), (1,)][len(world.slept) - 1]))

    world.on_sleep = rotate
    world.run(store, 4)
    assert admitted == [[True, False], [True, True], [True, True], [False, True]]


def test_an_outage_keeps_the_old_keys_for_an_hour_and_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    world = World(0)
    store = world.store()
    store.load()
    loaded_s = world.now_s
    world.fault = KeyFault("SUPABASE_JWKS_URL: nobody answers")
    known: dict[float, list[str]] = {}
    world.on_sleep = lambda: known.setdefault(world.now_s - loaded_s, kids(store))
    world.run(store, 150)
    assert world.slept[:3] == [REFRESH_S, RETRY_S, RETRY_S]
    assert {age_s for age_s, names in known.items() if names} == {age_s for age_s in known if age_s <= 3600 + RETRY_S}
    assert store.pools is SECRET
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == ["key set too old, its keys are not used any more"]
    world.fault = None
    world.run(store, 1)
    assert kids(store) == ["key-0"], "and they are back with the first answer"


def test_how_long_old_keys_are_kept_can_be_chosen() -> None:
    world = World(0)
    store = world.store(keep_s=400.0)
    store.load()
    world.fault = KeyFault("down")
    world.run(store, 4)  # 300, 330, 360, 390
    assert kids(store) == ["key-0"]
    world.run(store, 1)
    assert kids(store) == []


def test_a_success_ends_the_count() -> None:
    world = World(0)
    store = world.store()
    store.load()
    for _ in range(3):
        world.fault = KeyFault("down")
        world.run(store, 100)
        world.fault = None
        world.run(store, 1)
    assert kids(store) == ["key-0"]


def test_an_empty_answer_counts_as_an_outage_where_it_would_leave_nothing() -> None:
    world = World(0)
    alone, beside_a_secret = world.store(KeyPools()), world.store()
    for store in (alone, beside_a_secret):
        store.load()
    world.published = ()
    world.run(alone, 1)
    world.run(beside_a_secret, 1)
    assert (kids(alone), kids(beside_a_secret)) == (["key-0"], [])


def test_a_bug_in_fetching_does_not_end_the_refreshing(caplog: pytest.LogCaptureFixture) -> None:
    world = World(0)
    store = world.store()
    world.fault = RuntimeError("a bug")
    world.run(store, 2)
    assert [bool(record.exc_info) for record in caplog.records] == [True, True]
    world.fault = None
    world.run(store, 1)
    assert kids(store) == ["key-0"]


def test_a_change_of_keys_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World(0, 1)
    store = world.store()
    store.load()
    world.run(store, 3)
    assert [vars(record)["kids"] for record in caplog.records] == ["key-0, key-1"]


# --- tokens with keys that are not here ----------------------------------------------------------------------------


def test_a_new_key_is_found_at_once() -> None:
    world = World(0)
    store = world.store()
    store.load()
    world.published = (public(0), public(1))
    world.now_s += COOLDOWN_S
    verdict = answer(store, 1)
    assert isinstance(verdict, AuthFault)
    assert verdict.unknown_kid
    assert asyncio.run(store.refreshed())
    assert is_admitted(store, 1)


def test_a_thousand_invented_keys_cause_one_fetch_per_cooldown() -> None:
    world = World(0)
    store = world.store()
    store.load()

    async def flood() -> list[bool]:
        return await asyncio.gather(*(store.refreshed() for _ in range(1000)))

    for _ in range(3):
        world.now_s += COOLDOWN_S - 0.001
        before = len(world.fetched_at)
        assert asyncio.run(flood()) == [True] * 1000, "the set is at most 30 s old: a key that it lacks does not exist"
        assert len(world.fetched_at) == before
        world.now_s += 0.001
        assert asyncio.run(flood()) == [True] * 1000
        assert len(world.fetched_at) == before + 1
    gaps = [late - soon for soon, late in zip(world.fetched_at, world.fetched_at[1:], strict=False)]
    assert min(gaps) >= COOLDOWN_S


def test_nobody_can_tell_while_the_last_fetch_failed() -> None:
    world = World(0)
    store = world.store()
    store.load()
    world.now_s += COOLDOWN_S
    world.fault = KeyFault("down")
    assert asyncio.run(store.refreshed()) is False
    world.fault = None
    world.now_s += 10.0
    assert asyncio.run(store.refreshed()) is False
    assert store.retry_after_s == pytest.approx(COOLDOWN_S - 10.0)
    assert len(world.fetched_at) == 2
    world.now_s += COOLDOWN_S - 10.0
    assert asyncio.run(store.refreshed()) is True
    assert kids(store) == ["key-0"], "and the old keys held meanwhile"


def test_the_retryable_answer() -> None:
    assert (NOT_READY.code, NOT_READY.unknown_kid) == ("not_ready", False)
    store = World().store()
    assert store.retry_after_s == 1.0


# --- a server that is real -----------------------------------------------------------------------------------------


def run_beside(store: KeyStore, work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` beside the background task, and end that."""

    async def both() -> None:
        refreshing = asyncio.create_task(store.run())
        await work()
        refreshing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await refreshing

    asyncio.run(both())


def real_store(server: KeyServer, configured: KeyPools = SECRET, **how: Any) -> KeyStore:
    env = {"SUPABASE_JWKS_URL": server.url}
    return KeyStore(configured, key_set_address(env, configured), **how)


def test_against_a_server_that_rotates() -> None:
    with KeyServer(SIGNING[0]) as server:
        clock = [0.0]
        store = real_store(server, KeyPools(), now_s=lambda: clock[0])
        store.load()
        server.rotate(SIGNING[0], SIGNING[1])
        clock[0] += COOLDOWN_S
        assert asyncio.run(store.refreshed())
        assert kids(store) == ["key-0", "key-1"]
        assert server.requests == 2


def test_while_the_server_hangs_a_login_is_put_off_and_the_loop_goes_on() -> None:
    with KeyServer(SIGNING[0], mode="hang") as server:
        store = real_store(server, wait_s=0.05)
        passes = 0

        async def work() -> None:
            nonlocal passes
            waiting = [asyncio.create_task(store.refreshed()) for _ in range(20)]
            while not all(task.done() for task in waiting):
                passes += 1
                await asyncio.sleep(0.001)
            assert [task.result() for task in waiting] == [False] * 20

        run_beside(store, work)
        assert passes >= 3
        assert server.requests <= 1, "twenty logins share a fetch"
        assert store.fetches == 1


def test_a_login_that_gives_up_does_not_end_the_fetch_for_others() -> None:
    published = threading.Event()
    asked = []

    def fetch(address: KeySetAddress) -> tuple[PublicKey, ...]:
        asked.append(address)
        assert published.wait(10.0)
        return (public(0),)

    async def logins() -> None:
        store = KeyStore(SECRET, ADDRESS, fetch=fetch, wait_s=0.1)
        assert await store.refreshed() is False
        later = asyncio.create_task(store.refreshed())
        await asyncio.sleep(0)
        published.set()
        assert await later is True
        assert kids(store) == ["key-0"]
        assert await store.refreshed() is True
        assert len(asked) == 1

    asyncio.run(logins())


def test_a_fetch_that_outlasts_the_loop_harms_nobody() -> None:
    with KeyServer(SIGNING[0], mode="hang") as server:
        store = real_store(server, wait_s=0.02)
        assert asyncio.run(store.refreshed()) is False
        server.mode = "serve"
    assert store.pools is SECRET
