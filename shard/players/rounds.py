"""What the reception has to do from time to time: every tick, and once per second a round through all guests."""

from __future__ import annotations

import math
from typing import Final

from shard.access.connection import Connection
from shard.access.wsframe import text_frame
from shard.players.guests import Guest
from shard.players.presence import Push
from shard.players.reception import Reception
from shard.players.session import Close
from shard.views.standing import write_standing
from shared.messages import CloseCode, Notice, NoticePayload, State

ROUND_S: Final = 1.0
EXPIRY_NOTICE_S: Final = 60.0
"""Before a token runs out its player is told, as long as Supabase's own client refreshes ahead."""
EXPIRY_GRACE_S: Final = 30.0
"""After a token ran out, until the connection ends: a refresh may be on its way."""
STOOD_STILL_M: Final = 1.0
"""Who moves less than this is idle."""


class Rounds:
    """The periodic work of one reception; ``ticked`` drives it."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._round_s = -math.inf

    def ticked(self) -> None:
        """A tick's frames are out: rings have room, places may have become free."""
        reception = self._reception
        now_s = reception.now_s
        if reception.waiting:
            reception.waiting = {peer for peer in reception.waiting if not peer.take_held()}
        reception.desk.ticked()
        reception.let_in()
        reception.post_races()
        for place in reception.line.news(now_s):
            reception.tell_place(place)
        for player in reception.deny.poll(now_s):
            self._remove(player, Close(CloseCode.FORBIDDEN, "forbidden", "this player may not be here"))
        removed, reception.realm.removed = reception.realm.removed, []
        for player in removed:
            self._remove(player, Close(CloseCode.REMOVED, "removed", "your car moved as no car can, again and again"))
        for news in reception.realm.relief.take_news():
            for guest in reception.guests.values():
                if guest.peer is not None:
                    guest.peer.send(Notice(news))
        if push := reception.roster.push(now_s):
            self._push(push)
        if now_s - self._round_s >= ROUND_S:
            self._round_s = now_s
            for guest in list(reception.guests.values()):
                self._look_after(guest, now_s)
            write_standing(reception.realm, self._unsent_bytes)
            if reception.rules.idle_s:
                self._retire_idlers(now_s)
            for player in [player for player, bucket in reception.takeovers.items() if bucket.full_at_s <= now_s]:
                del reception.takeovers[player]

    def warn(self, text: str) -> None:
        """Tell everybody who is connected that the shard drains."""
        for guest in self._reception.guests.values():
            if guest.peer is not None:
                guest.peer.send(Notice(NoticePayload("draining", text)))

    def _unsent_bytes(self, slot: int) -> int:
        client = self._reception.realm.client(slot)
        return client.transport.get_write_buffer_size() if isinstance(client, Connection) else 0

    def _push(self, push: Push) -> None:
        """Presence: each payload is framed once; followers get names, all others counts."""
        reception = self._reception
        followers = set(reception.roster.followers)
        counts = text_frame([push.counts]) if push.counts else None
        names = text_frame([push.names]) if push.names else None
        for player, guest in reception.guests.items():
            frame = names if player in followers else counts
            if frame is not None and guest.peer is not None:
                guest.peer.deliver(frame)

    def _remove(self, player: str, close: Close) -> None:
        """The operator's list names somebody who may be here, or the anti-cheat has seen enough."""
        guest = self._reception.guests.get(player)
        if guest is None:
            return
        self._reception.realm.races.removed(player, self._reception.realm.now_ms)
        if guest.peer is None:
            self._reception.forget(guest)
        else:
            self._reception.do(guest.peer, close)

    def _look_after(self, guest: Guest, now_s: float) -> None:
        """One guest, once per second: its hold, its token, its reading."""
        reception, peer = self._reception, guest.peer
        if peer is None:
            if now_s >= guest.away_until_s:
                reception.forget(guest)
            return
        if peer.stuck():
            peer.abort()
            reception.lost(peer)
            return
        left_s = peer.session.expires_at_s - now_s
        if left_s < -EXPIRY_GRACE_S:
            reception.do(peer, Close(CloseCode.TOKEN_EXPIRED, "token_expired", "the token ran out: refresh it"))
        elif left_s < EXPIRY_NOTICE_S and not guest.warned:
            guest.warned = True
            text = f"the token runs out in {max(0, round(left_s))} s: send `auth` with a new one"
            peer.send(Notice(NoticePayload("auth_expiring", text)))

    def _retire_idlers(self, now_s: float) -> None:
        """Those who have stood still for too long make room, as many as wait."""
        reception = self._reception
        pos = reception.realm.memory.table.committed("pos")
        room = len(reception.line)
        for guest in reception.guests.values():
            occupant = reception.realm.occupant(guest.player)
            if occupant is None or guest.peer is None or guest.peer.session.state is not State.WORLD:
                continue
            x, z = float(pos[occupant.slot, 0]), float(pos[occupant.slot, 2])
            if math.hypot(x - guest.stood[0], z - guest.stood[1]) > STOOD_STILL_M:
                guest.stood, guest.moved_s = (x, z), now_s
            elif room and now_s - guest.moved_s > reception.rules.idle_s:
                room -= 1
                guest.peer.session.idled()
                reception.realm.leave(guest.player)
                reception.to_lobby(guest, "idle")
