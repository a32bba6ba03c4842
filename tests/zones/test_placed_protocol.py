"""Placed and epoch: whatever happens to corrections and moves on their way, client and server end in one state."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ipc.control import Place, PlacedAt, Resume
from shared.thresholds import Thresholds
from tests.fakes.lot import lot, wall
from tests.zones.one_driver import OneDriver

PICK = st.integers(0, 2**16)
LIMITS = Thresholds(answer_ms=2000.0)
"""The real one is ten times as long, which would only make the test as slow."""


class Client:
    """A client as the contract wants it: it adopts any ``placed`` that comes, and stamps its moves with that epoch."""

    def __init__(self) -> None:
        self.epoch = 0
        self.x = self.z = 0.0

    def hear(self, placed: PlacedAt) -> None:
        self.epoch, self.x, self.z = placed.epoch, placed.x, placed.z


class PlacedProtocol(RuleBasedStateMachine):
    """A server, a client, and a line between them that swaps, loses and doubles in both directions."""

    @initialize()
    def enter(self) -> None:
        self.server = OneDriver(lot([wall(50.0, 130.0, 400.0, 130.0)]), x=200.0, z=100.0, limits=LIMITS)
        self.client = Client()
        self.down: list[PlacedAt] = []
        self.up: list[tuple[float, float, int, int]] = []
        self.seq = 0
        self._take_placements(0)

    def _take_placements(self, since: int) -> None:
        for outcome in self.server.outcomes[since:]:
            self.down += [event for event in outcome.events if isinstance(event, PlacedAt)]

    def _send(self, dx: float, dz: float) -> None:
        self.client.x = min(max(self.client.x + dx, 1.0), 511.0)
        self.client.z = min(max(self.client.z + dz, 1.0), 511.0)
        self.seq += 1
        self.up.append((self.client.x, self.client.z, self.client.epoch, self.seq))

    def _tick(self, *commands: Place | Resume) -> None:
        self.server.tick(*commands)
        self._take_placements(len(self.server.outcomes) - 1)

    @rule(east=st.booleans(), count=st.integers(1, 10))
    def drive(self, east: bool, count: int) -> None:
        for _ in range(count):
            self._send(1.0 if east else -1.0, 0.5)

    @rule(x=st.floats(-150, 150), z=st.floats(-150, 150))
    def cheat(self, x: float, z: float) -> None:
        self._send(x, z)

    @rule(ticks=st.integers(1, 60), arrive=st.integers(0, 12))
    def time_passes(self, ticks: int, arrive: int) -> None:
        for x, z, epoch, seq in self.up[:arrive]:
            self.server.sample(x, z, epoch=epoch, seq=seq)
        del self.up[:arrive]
        for _ in range(ticks):
            self._tick()

    @rule()
    def respawn(self) -> None:
        self._tick(Place(0, 1, 60.0, 60.0, 0.0, "respawn", fresh=False))

    @rule(pick=PICK)
    def a_placement_arrives(self, pick: int) -> None:
        if self.down:
            self.client.hear(self.down.pop(pick % len(self.down)))

    @rule(pick=PICK)
    def a_placement_is_doubled(self, pick: int) -> None:
        if self.down:
            self.down.append(self.down[pick % len(self.down)])

    @rule(pick=PICK)
    def a_placement_is_lost(self, pick: int) -> None:
        if self.down:
            self.down.pop(pick % len(self.down))

    @rule(pick=PICK)
    def a_move_is_swapped_doubled_or_lost(self, pick: int) -> None:
        if self.up:
            move = self.up.pop(pick % len(self.up))
            self.up[0:0] = [move] * (pick % 3)

    @invariant()
    def an_epoch_is_never_used_twice(self) -> None:
        if hasattr(self, "server"):
            told = [
                event.epoch
                for outcome in self.server.outcomes
                for event in outcome.events
                if isinstance(event, PlacedAt)
            ]
            assert told == sorted(set(told))
            assert self.server.at[1] < 130.0, "nothing of this brings a car through a wall"

    def teardown(self) -> None:
        """The line heals: from now on everything arrives in order. Within seconds both are of one mind."""
        if not hasattr(self, "server"):
            return
        for _ in range(round((LIMITS.answer_ms + 2000.0) / 50.0)):
            while self.down:
                self.client.hear(self.down.pop(0))
            self._send(0.0, 0.0)
            for x, z, epoch, seq in self.up:
                self.server.sample(x, z, epoch=epoch, seq=seq)
            self.up.clear()
            self._tick()
        for _ in range(20):  # a lump may still have been waiting in the ring
            while self.down:
                self.client.hear(self.down.pop(0))
            self._tick()
            if not self.server.ring:
                break
        self._send(0.0, 0.0)
        self.server.sample(*self.up.pop()[:2], epoch=self.client.epoch, seq=self.seq)
        self._tick()
        assert self.client.epoch == int(self.server.state.epoch[0])
        assert math.dist(self.server.at, (self.client.x, self.client.z)) < 1e-9


PlacedProtocol.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestPlacedProtocol = PlacedProtocol.TestCase
