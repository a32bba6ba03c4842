"""Between connections and the realm: carries out what sessions demand, and knows who is on which connection.

A player who is here is a Guest: with a connection, or for a while without one, its car held (*away*). One player has
one connection: a newer one is given car and place before anything else happens, and the older is told and closed. What
is due from time to time (holds that end, tokens that run out, the queue, presence) is in ``shard/players/rounds.py``.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shard.access.auth import AuthFault, Claims, verify
from shard.access.bucket import Bucket
from shard.access.budget import ENOUGH
from shard.access.denylist import DenyList
from shard.access.keys import NOT_READY, KeyStore
from shard.access.meters import MOVES_PER_S
from shard.access.pacing import Work
from shard.access.wsframe import text_frame
from shard.land.chunk_stock import Stock, stock_of
from shard.land.streaming import REACH_CHUNKS, Desk, Terms
from shard.players.guests import Guest, Peer
from shard.players.line import Line, Place
from shard.players.occupants import Entry
from shard.players.presence import Doing, Roster
from shard.players.session import (
    Close,
    Command,
    Fetch,
    Gesture,
    GoIn,
    GoOut,
    Page,
    PutBack,
    RaceIn,
    RaceOut,
    Say,
    Use,
    Verify,
)
from shard.races.director import Refusal
from shard.realm import Realm
from shared.constants import CHUNK_M, MESSAGE_BYTES_MAX, PROTOCOL_VERSION
from shared.messages import (
    CHUNKS_MAX,
    ChunksPayload,
    ClientFault,
    ClientMessage,
    CloseCode,
    EnterPayload,
    Error,
    ErrorPayload,
    InteractPayload,
    Limits,
    Lobby,
    LobbyPayload,
    Presence,
    Queued,
    QueuedPayload,
    SignalKind,
    State,
    Welcome,
    WelcomePayload,
    WhoPayload,
    WorldInfo,
    encode,
)

TAKEOVERS_PER_MINUTE = 5
"""Of one player. Two devices that fight over a car would otherwise go on for ever."""
RETRY_AFTER_ENOUGH_S = 10.0

DOING: dict[State, Doing] = {State.LOBBY: "lobby", State.QUEUED: "queued", State.WORLD: "driving"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HouseRules:
    """What an operator may choose."""

    resume_s: float = 30.0
    """How long a car is held after its socket is lost."""
    queue_max: int = 1000
    idle_s: float = 0.0
    """A driver who stands still for longer gives up its slot while others queue; 0: never."""


class Reception:
    """All sessions of the shard. ``now_ms`` is server time, ``later`` runs paced work."""

    def __init__(
        self,
        realm: Realm,
        keys: KeyStore,
        tick_hz: float,
        now_ms: Callable[[], float],
        later: Callable[[Work], None],
        rules: HouseRules | None = None,
        deny: DenyList | None = None,
        stock: Stock | None = None,
    ) -> None:
        """``stock`` left out: the chunks of the realm's world are made here."""
        self.realm = realm
        self.keys = keys
        self.rules = rules or HouseRules()
        self.deny = DenyList(None) if deny is None else deny  # an empty list is false
        self.guests: dict[str, Guest] = {}
        self.roster = Roster()
        self.line = Line(self.rules.queue_max)
        self.waiting: set[Peer] = set()
        """Connections that are not read until there is room in a ring."""
        self.takeovers: dict[str, Bucket] = {}
        """By player; forgotten when full."""
        stock = stock_of(realm.land) if stock is None else stock
        self.desk = Desk(stock, Terms.of_world(realm.world), self._soon, lambda: self.now_s)
        """Hands out chunks."""
        self._tick_hz = tick_hz
        self._now_ms = now_ms
        self._later = later
        self._fetching: set[asyncio.Task[None]] = set()
        realm.attendant.renamed = self._renamed

    @property
    def online(self) -> int:
        """Players who are here, in the lobby, in the world or away."""
        return len(self.guests)

    @property
    def now_s(self) -> float:
        """Server time, seconds."""
        return self._now_ms() / 1000.0

    # --- what connections tell

    def malformed(self, peer: Peer, fault: ClientFault) -> None:
        """Bytes that are no message."""
        self.do(peer, peer.session.fault(fault, self._now_ms()))

    def obey(self, peer: Peer, message: ClientMessage) -> None:
        """One decoded message."""
        self.do(peer, peer.session.receive(message, self._now_ms()), message.id)

    def over(self, peer: Peer, wait_s: float, re: int | None = None) -> None:
        """The connection is over a budget; ``wait_s`` is what the budget said."""
        if wait_s == ENOUGH:
            retry_ms = round(RETRY_AFTER_ENOUGH_S * 1000)
            self.do(peer, Close(CloseCode.RATE_LIMITED, "rate_limited", "too much for too long", retry_ms), re)
        elif peer.session.state is not State.CLOSED:
            retry_ms = math.ceil(wait_s * 1000)
            self.do(peer, peer.session.refuse("rate_limited", f"wait {retry_ms} ms", re, retry_ms))

    def renewed(self, peer: Peer) -> None:
        """The connection has another ``offer`` now."""
        if peer.lane is not None:
            self.realm.fanout.refresh(peer.lane.slot)

    def auth_timeout(self, peer: Peer) -> None:
        """The time to authenticate is over."""
        self.do(peer, peer.session.timed_out())

    def lost(self, peer: Peer, hold: bool = True) -> None:
        """The connection is over, whoever ended it. ``hold``: a car in the world waits for its driver. Idempotent."""
        player, state = peer.session.player, peer.session.state
        peer.session.closed()
        self.waiting.discard(peer)
        self.desk.forget(peer)
        guest = None if player is None else self.guests.get(player)
        if guest is None or guest.peer is not peer:
            return
        guest.peer = None
        self.line.leave(guest.player)
        self.roster.unfollow(guest.player)
        held = hold and state is State.WORLD and self.rules.resume_s > 0 and self.realm.hold(guest.player)
        if held:
            guest.away_until_s = self.now_s + self.rules.resume_s
            self.note(guest)
        else:
            self.forget(guest)

    # --- what sessions demand

    def do(self, peer: Peer, command: Command | None, re: int | None = None) -> None:
        """Carry out what a session has decided."""
        match command:
            case None:
                pass
            case Say(message):
                peer.send(message)
            case Verify(token):
                peer.hold()  # what comes behind `auth` is looked at when it is decided
                self._later(lambda: self._judge(peer, token, re))
            case GoIn(wish):
                self._go_in(peer, wish, re)
            case GoOut():
                guest = self._guest(peer)
                self.line.leave(guest.player)
                self.realm.leave(guest.player)
                self.to_lobby(guest, "left", re)
            case PutBack():
                self._put_back(peer, re)
            case Use(wish):
                self._use(peer, wish, re)
            case Gesture(kind):
                self._signal(peer, kind, re)
            case Page(wish):
                self._page(peer, wish, re)
            case Fetch(wish):
                self._fetch(peer, wish, re)
            case RaceIn(race):
                races, player = self.realm.races, self._guest(peer).player
                self._answer_race(peer, races.join(player, race, self.realm.now_ms), re)
            case RaceOut(race):
                races, player = self.realm.races, self._guest(peer).player
                self._answer_race(peer, races.leave(player, race, self.realm.now_ms), re)
            case Close(code, error, text, retry_after_ms):
                peer.send(Error(ErrorPayload(error, text, retry_after_ms), re=re))
                peer.end(code, error)
                self.lost(peer, hold=code not in (CloseCode.FORBIDDEN, CloseCode.REMOVED))

    def forget(self, guest: Guest) -> None:
        """The player is here no more, nor is its car."""
        self.realm.leave(guest.player)
        self.roster.remove(guest.player)
        self.guests.pop(guest.player, None)

    def removed(self, player: str) -> None:
        """The shard has taken the player out of the world: into the lobby, or away for good without a connection."""
        guest = self.guests.get(player)
        if guest is None:
            return
        if guest.peer is None:
            self.forget(guest)
        else:
            guest.owed = True
            guest.peer.session.idled()
            self.to_lobby(guest, "removed")

    def note(self, guest: Guest) -> None:
        """Have the roster know what the player does now."""
        doing: Doing = "away" if guest.peer is None else DOING.get(guest.peer.session.state, "lobby")
        if doing == "driving" and self.realm.races.race_of(guest.player) is not None:
            doing = "racing"
        self.roster.put(guest.player, guest.name, doing)

    def to_lobby(
        self, guest: Guest, reason: Literal["welcome", "left", "removed", "idle"], re: int | None = None
    ) -> None:
        """Tell the player that it is in the lobby."""
        if guest.peer is not None:
            guest.peer.send(Lobby(LobbyPayload(reason, self.online, self.realm.players_max), re=re))
        self.note(guest)

    def let_in(self) -> None:
        """Give places that became free to those who wait."""
        while len(self.line) and self.realm.has_room():
            player = self.line.take()
            guest = None if player is None else self.guests.get(player)
            if guest is None or guest.peer is None or guest.entry is None:
                continue
            guest.peer.session.entered(None)
            guest.moved_s, guest.owed = self.now_s, False
            self.realm.enter(guest.entry, guest.peer)
            self.note(guest)

    # --- tokens

    def _judge(self, peer: Peer, token: str, re: int | None, final: bool = False) -> None:
        """Verify. A token of an unknown key waits once for the key set to be fetched anew."""
        if peer.session.state is State.CLOSED:
            return
        verdict = verify(token, self.keys.pools, self.now_s)
        if isinstance(verdict, AuthFault) and verdict.unknown_kid and not final:
            task = asyncio.get_running_loop().create_task(self._fetch_and_judge(peer, token, re))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
            return
        self._conclude(peer, verdict, re)

    async def _fetch_and_judge(self, peer: Peer, token: str, re: int | None) -> None:
        if await self.keys.refreshed():
            self._judge(peer, token, re, final=True)
        elif peer.session.state is not State.CLOSED:
            self._conclude(peer, NOT_READY, re)

    def _conclude(self, peer: Peer, verdict: Claims | AuthFault, re: int | None) -> None:
        if isinstance(verdict, AuthFault):
            log.info("token refused", extra={"code": verdict.code, "detail": verdict.detail})
            retry_ms = math.ceil(self.keys.retry_after_s * 1000) if verdict.code == "not_ready" else None
            self.do(peer, peer.session.refused(verdict.code, verdict.message, re, retry_ms), re)
        elif verdict.player in self.deny:
            self.do(peer, Close(CloseCode.FORBIDDEN, "forbidden", "this player may not be here"), re)
        elif peer.session.player is None and (wait_s := self._takeover_wait_s(verdict.player)):
            retry_ms = math.ceil(wait_s * 1000)
            text = "you connect from two places again and again"
            self.do(peer, Close(CloseCode.RATE_LIMITED, "rate_limited", text, retry_ms), re)
        else:
            kind = peer.session.authenticated(verdict.player, verdict.expires_at_s)
            if kind == "other":
                text = "a refresh must carry the same player's token"
                self.do(peer, Close(CloseCode.FORBIDDEN, "forbidden", text), re)
            elif kind == "refresh":
                guest = self._guest(peer)
                guest.warned = False
                peer.send(self._welcome(guest, peer, resumed=False, re=re))
            else:
                self._admit(peer, verdict.player, re)
        peer.go_on()

    def _takeover_wait_s(self, player: str) -> float:
        """0.0, or how long the player has to leave its present connection alone."""
        guest = self.guests.get(player)
        if guest is None or guest.peer is None:
            return 0.0
        bucket = self.takeovers.setdefault(player, Bucket(TAKEOVERS_PER_MINUTE / 60.0, TAKEOVERS_PER_MINUTE))
        return bucket.take(self.now_s)

    def _admit(self, peer: Peer, player: str, re: int | None) -> None:
        """A new connection of a player: it takes over what an older one had."""
        guest = self.guests.get(player)
        queued = False
        if guest is None:
            guest = self.guests[player] = Guest(player, secrets.token_hex(8), peer, f"Driver {player[:6]}")
        elif guest.peer is not None:
            older, queued = guest.peer, guest.peer.session.state is State.QUEUED
            older.send(Error(ErrorPayload("replaced", "you have connected elsewhere")))
            older.end(CloseCode.REPLACED, "replaced")
            older.session.closed()
            self.waiting.discard(older)
            self.roster.unfollow(player)
        guest.peer, guest.away_until_s, guest.warned = peer, math.inf, False
        resumed = self.realm.resume(player, peer)
        peer.send(self._welcome(guest, peer, resumed, re))
        self.realm.races.greet(player)
        if resumed:
            peer.session.resumed()
            guest.moved_s = self.now_s
            self.note(guest)
            return
        self.to_lobby(guest, "welcome")
        if queued and (place := self.line.join(player, self.now_s, guest.owed)):
            peer.session.queued()
            self.tell_place(place)
            self.note(guest)

    # --- lobby and world

    def _go_in(self, peer: Peer, wish: EnterPayload, re: int | None) -> None:
        guest = self._guest(peer)
        vehicles, spawns = self.realm.vehicles, self.realm.world.spawns
        vehicle = wish.vehicle or next(iter(vehicles))
        refuse = peer.session.refuse
        if vehicle not in vehicles:
            peer.send(refuse("unknown_vehicle", f"vehicle: one of {', '.join(vehicles)}", re).message)
            return
        if wish.spawn is not None and wish.spawn not in spawns:
            text = f"one of {', '.join(spawns)}" if spawns else "this world has no named spawn points, leave it out"
            peer.send(refuse("unknown_spawn", f"spawn: {text}", re).message)
            return
        guest.name = wish.name or f"Driver {guest.player[:6]}"
        guest.entry = Entry(guest.player, guest.name, vehicle, wish.spawn)
        if self.realm.has_room() and not len(self.line):
            peer.session.entered(re)
            guest.moved_s, guest.owed = self.now_s, False
            self.realm.enter(guest.entry, peer)
        elif place := self.line.join(guest.player, self.now_s, guest.owed):
            peer.session.queued()
            self.tell_place(place, re)
        else:
            text = f"all {self.realm.players_max} places are taken, and {len(self.line)} players queue"
            peer.send(refuse("world_full", text, re).message)
        self.note(guest)

    def tell_place(self, place: Place, re: int | None = None) -> None:
        """Tell a waiting player where it stands."""
        guest = self.guests.get(place.player)
        if guest is not None and guest.peer is not None:
            guest.peer.send(Queued(QueuedPayload(place.position, place.of), re=re))

    def _put_back(self, peer: Peer, re: int | None) -> None:
        if self.realm.frozen(self._guest(peer).player):
            self.do(peer, peer.session.refuse("not_allowed", "you are on the grid: wait for the start", re))
        elif self.realm.respawn(self._guest(peer).player):
            peer.session.will_be_placed("respawn", re)
        else:
            self.do(peer, peer.session.refuse("not_allowed", "you have no car yet: wait for `placed`", re))

    def _use(self, peer: Peer, wish: InteractPayload, re: int | None) -> None:
        occupant = self.realm.occupant(peer.session.player)
        if occupant is None:
            self.do(peer, peer.session.refuse("not_allowed", "you have no car yet: wait for `placed`", re))
        else:
            self.realm.attendant.use(occupant, wish, re)

    def _signal(self, peer: Peer, kind: SignalKind, re: int | None) -> None:
        occupant = self.realm.occupant(peer.session.player)
        if occupant is None:
            self.do(peer, peer.session.refuse("not_allowed", "you have no car yet: wait for `placed`", re))
        elif wait_s := self.realm.signal(occupant, kind, self.now_s):
            retry_ms = math.ceil(wait_s * 1000)
            text = f"too many signals around you: wait {retry_ms} ms"
            self.do(peer, peer.session.refuse("rate_limited", text, re, retry_ms))

    def _renamed(self, entry: Entry) -> None:
        """A garage gave a player another name or vehicle."""
        guest = self.guests.get(entry.player)
        if guest is not None:
            guest.entry, guest.name = entry, entry.name
            self.note(guest)

    def _page(self, peer: Peer, wish: WhoPayload, re: int | None) -> None:
        guest = self._guest(peer)
        if wish.follow:
            self.roster.follow(guest.player)
        peer.send(Presence(self.roster.page(wish.after, wish.limit), re=re))

    def _fetch(self, peer: Peer, wish: ChunksPayload, re: int | None) -> None:
        refusal = self.desk.ask(peer, wish, re, lambda: self._place(peer))
        if refusal is not None:
            peer.send(Error(refusal, re=re))

    def _place(self, peer: Peer) -> tuple[float, float] | None:
        """Where the car of a connection is; None: it has none."""
        return self.realm.where(peer.session.player) if peer.session.state is State.WORLD else None

    @staticmethod
    def _soon(work: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(work)

    # --- races

    def post_races(self) -> None:
        """Deliver what races have to tell: each message is framed once for all its readers."""
        races = self.realm.races
        for mail in races.take_mail():
            frame = text_frame([encode(mail.message)])
            for player in mail.players:
                guest = self.guests.get(player)
                if guest is not None and guest.peer is not None:
                    guest.peer.deliver(frame)
        for player in races.take_moved():
            if guest := self.guests.get(player):
                self.note(guest)

    def _answer_race(self, peer: Peer, outcome: str | Refusal, re: int | None) -> None:
        self.post_races()
        if isinstance(outcome, Refusal):
            peer.send(peer.session.refuse(outcome.code, outcome.text, re).message)
        elif (state := self.realm.races.state(outcome, re)) is not None:
            peer.send(state)

    def _guest(self, peer: Peer) -> Guest:
        assert peer.session.player is not None, "only authenticated sessions get this far"
        return self.guests[peer.session.player]

    def _welcome(self, guest: Guest, peer: Peer, resumed: bool, re: int | None) -> Welcome:
        world = self.realm.world
        return Welcome(
            WelcomePayload(
                player=guest.player,
                session=guest.session,
                protocol=PROTOCOL_VERSION,
                tick_hz=self._tick_hz,
                server_time_ms=self._now_ms(),
                expires_at_ms=peer.session.expires_at_s * 1000.0,
                resumed=resumed,
                world=WorldInfo(world.preset, world.seed, world.size_m, CHUNK_M, world.hash),
                zones=[(x0, z0, x1, z1) for x0, z0, x1, z1 in self.realm.zone_map.rects_m.tolist()],
                limits=Limits(
                    round(MOVES_PER_S), MESSAGE_BYTES_MAX, CHUNKS_MAX, math.floor(self.desk.terms.per_s), REACH_CHUNKS
                ),
            ),
            re=re,
        )
