"""Between connections and the realm: carries out what sessions demand, and knows who is on which connection."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Literal, Protocol

from shard.auth import AuthFault, KeyPools, verify
from shard.realm import Client, Entry, Realm
from shard.session import Close, Command, GoIn, GoOut, PutBack, Say, Session, Verify
from shared.constants import CHUNK_M, MESSAGE_BYTES_MAX, PROTOCOL_VERSION
from shared.messages import (
    ClientFault,
    ClientMessage,
    CloseCode,
    EnterPayload,
    Error,
    ErrorPayload,
    Limits,
    Lobby,
    LobbyPayload,
    ServerMessage,
    Welcome,
    WelcomePayload,
    WorldInfo,
)
from shared.vehicles import DEFAULT_VEHICLE, VEHICLE_INDEX

MOVES_PER_SECOND = 30
CHUNKS_PER_MESSAGE = 32

log = logging.getLogger(__name__)


class Peer(Client, Protocol):
    """One connection, as the reception sees it."""

    session: Session

    def send(self, message: ServerMessage) -> None:
        """Send one message; nothing happens on a connection that is closing."""

    def take_held(self) -> bool:
        """Go on with messages that waited for room; True when none is left."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Close the connection. Idempotent."""


class Reception:
    """All sessions of the shard. ``now_ms`` is server time."""

    def __init__(self, realm: Realm, keys: KeyPools, tick_hz: float, now_ms: Callable[[], float]) -> None:
        self.realm = realm
        self.keys = keys
        self._tick_hz = tick_hz
        self._now_ms = now_ms
        self._peers: dict[str, Peer] = {}
        """Authenticated connections by player: at most one each."""

        self.waiting: set[Peer] = set()
        """Connections that are not read until there is room in a ring."""

    def ticked(self) -> None:
        """Ticks were committed: rings have room."""
        self.waiting = {peer for peer in self.waiting if not peer.take_held()}

    @property
    def online(self) -> int:
        """Players who are here, in the lobby or in the world."""
        return len(self._peers)

    def malformed(self, peer: Peer, fault: ClientFault) -> None:
        """Bytes that are no message."""
        self._do(peer, peer.session.fault(fault, self._now_ms()))

    def obey(self, peer: Peer, message: ClientMessage) -> None:
        """One decoded message."""
        self._do(peer, peer.session.receive(message, self._now_ms()), message.id)

    def auth_timeout(self, peer: Peer) -> None:
        """The time to authenticate is over."""
        self._do(peer, peer.session.timed_out())

    def lost(self, peer: Peer) -> None:
        """The connection is over, whoever ended it. Idempotent."""
        player = peer.session.player
        peer.session.closed()
        self.waiting.discard(peer)
        if player is not None and self._peers.get(player) is peer:
            del self._peers[player]
            self.realm.leave(player)

    def _do(self, peer: Peer, command: Command | None, re: int | None = None) -> None:
        match command:
            case None:
                pass
            case Say(message):
                peer.send(message)
            case Verify(token):
                self._verify(peer, token, re)
            case GoIn(wish):
                self._go_in(peer, wish, re)
            case GoOut():
                self.realm.leave(self._player(peer))
                self._to_lobby(peer, "left", re)
            case PutBack():
                self._put_back(peer, re)
            case Close(code, error, text):
                peer.send(Error(ErrorPayload(error, text), re=re))
                peer.end(code, error)
                self.lost(peer)

    def _verify(self, peer: Peer, token: str, re: int | None) -> None:
        now_ms = self._now_ms()
        verdict = verify(token, self.keys, now_ms / 1000.0)
        if isinstance(verdict, AuthFault):
            log.info("token refused", extra={"code": verdict.code, "detail": verdict.detail})
            self._do(peer, peer.session.refused(verdict.code, verdict.message), re)
            return
        kind = peer.session.authenticated(verdict.player, verdict.expires_at_s)
        if kind == "other":
            self._do(peer, Close(CloseCode.FORBIDDEN, "forbidden", "a refresh must carry the same player's token"), re)
            return
        if kind == "first":
            if other := self._peers.get(verdict.player):
                self._do(other, Close(CloseCode.REPLACED, "replaced", "you have connected elsewhere"))
            self._peers[verdict.player] = peer
        peer.send(self._welcome(verdict.player, verdict.expires_at_s * 1000.0, now_ms, re))
        if kind == "first":
            self._to_lobby(peer, "welcome")

    def _go_in(self, peer: Peer, wish: EnterPayload, re: int | None) -> None:
        player = self._player(peer)
        vehicle = wish.vehicle or DEFAULT_VEHICLE
        refuse = peer.session.refuse
        if vehicle not in VEHICLE_INDEX:
            peer.send(refuse("unknown_vehicle", f"vehicle: one of {', '.join(VEHICLE_INDEX)}", re).message)
        elif wish.spawn is not None:
            peer.send(refuse("unknown_spawn", "spawn: this world has no named spawn points, leave it out", re).message)
        elif not self.realm.has_room():
            peer.send(refuse("world_full", f"all {self.realm.players_max} places are taken", re).message)
        else:
            peer.session.entered(re)
            self.realm.enter(Entry(player, wish.name or f"Driver {player[:6]}", vehicle), peer)

    def _put_back(self, peer: Peer, re: int | None) -> None:
        if self.realm.respawn(self._player(peer)):
            peer.session.will_be_placed("respawn", re)
        else:
            self._do(peer, peer.session.refuse("not_allowed", "you have no car yet: wait for `placed`", re))

    def _to_lobby(self, peer: Peer, reason: Literal["welcome", "left"], re: int | None = None) -> None:
        peer.send(Lobby(LobbyPayload(reason, self.online, self.realm.players_max), re=re))

    def _player(self, peer: Peer) -> str:
        assert peer.session.player is not None, "only authenticated sessions get this far"
        return peer.session.player

    def _welcome(self, player: str, expires_at_ms: float, now_ms: float, re: int | None) -> Welcome:
        world = self.realm.world
        return Welcome(
            WelcomePayload(
                player=player,
                session=secrets.token_hex(8),
                protocol=PROTOCOL_VERSION,
                tick_hz=self._tick_hz,
                server_time_ms=now_ms,
                expires_at_ms=expires_at_ms,
                resumed=False,
                world=WorldInfo(world.preset, world.seed, world.size_m, CHUNK_M, world.hash),
                zones=[(x0, z0, x1, z1) for x0, z0, x1, z1 in self.realm.zone_map.rects_m.tolist()],
                limits=Limits(MOVES_PER_SECOND, MESSAGE_BYTES_MAX, CHUNKS_PER_MESSAGE),
            ),
            re=re,
        )
