"""What the shard sends."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from msgspec import Meta

from shared.messages.client import SignalKind
from shared.messages.envelope import ChunkIndex, ErrorCode, Payload, Row, ServerEnvelope, ServerMs, Uint31, Uint32

Re: TypeAlias = Annotated[Uint31 | None, Meta(description="the `id` of the message that this one answers")]
Slot: TypeAlias = Annotated[
    int, Meta(ge=0, description="a player's number while it is here; reused after 5 s at least")
]
Sub: TypeAlias = Annotated[str, Meta(description="the player: `sub` of the token")]
CellKey: TypeAlias = Annotated[int, Meta(ge=0, description="name of a cell: an opaque set of players")]
X: TypeAlias = Annotated[float, Meta(description="metres east of the north-west corner")]
Y: TypeAlias = Annotated[float, Meta(description="metres above the datum")]
Z: TypeAlias = Annotated[float, Meta(description="metres south of the north-west corner")]
Yaw: TypeAlias = Annotated[float, Meta(description="radians; heading (sin yaw, 0, cos yaw)")]
ChunkNumber: TypeAlias = Annotated[int, Meta(ge=0, description="index of the chunk: floor(metres / 64)")]
RaceKey: TypeAlias = Annotated[str, Meta(description="the race's identifier")]
Rev: TypeAlias = Annotated[int, Meta(ge=0, description="revision of the race; grows with every change")]
Lap: TypeAlias = Annotated[int, Meta(ge=0, description="lap, from 0")]
Place: TypeAlias = Annotated[int, Meta(ge=1)]
Ms: TypeAlias = Annotated[float, Meta(ge=0)]
GROUND_NUMBERS: Final = 11
GateNumber: TypeAlias = Annotated[int, Meta(ge=0, description="gate of the lap, from 0")]


class WorldInfo(Payload, frozen=True):
    """The exact world: equal hashes mean equal chunks."""

    preset: Annotated[str, Meta(description="name of the world")]
    seed: Annotated[Uint32, Meta(description="what the world is generated from")]
    size_m: Annotated[int, Meta(description="edge of the square world, metres: 0 <= x, z < sizeM")]
    chunk_m: Annotated[int, Meta(description="edge of a chunk, metres")]
    hash: Annotated[str, Meta(description="hex digits; chunks of any other are to be compared or forgotten")]


class Limits(Payload, frozen=True):
    """What the shard accepts from one connection."""

    moves_per_second: Annotated[int, Meta(description="`move` messages per second; more are thinned")]
    message_bytes: Annotated[int, Meta(description="largest message, bytes; a larger one closes 1009")]
    chunks_per_message: Annotated[int, Meta(description="chunks that one `chunks` may name")]
    chunks_per_second: Annotated[int, Meta(description="chunks per second, over long; much more at first and at once")]
    chunks_reach: Annotated[int, Meta(description="chunks may be so far from the car's, along either axis")]


class WelcomePayload(Payload, frozen=True):
    """The token was good."""

    player: Sub
    session: Annotated[str, Meta(description="name of the session, for logs; survives a resume")]
    protocol: Annotated[int, Meta(description="version of this contract")]
    tick_hz: Annotated[float, Meta(gt=0, description="ticks, and at most snapshots, per second")]
    server_time_ms: ServerMs
    expires_at_ms: Annotated[ServerMs, Meta(description="when the token runs out: server time, Unix milliseconds")]
    resumed: Annotated[bool, Meta(description="the car was held and is given back; `placed` follows, else `lobby`")]
    world: Annotated[WorldInfo, Meta(description="which world this is")]
    zones: Annotated[
        list[tuple[float, float, float, float]],
        Meta(description="rectangle `[x0, z0, x1, z1]` of each zone process, metres; for information only"),
    ]
    limits: Annotated[Limits, Meta(description="what this connection may send")]


class LobbyPayload(Payload, frozen=True):
    """Once on every entry into the lobby."""

    reason: Annotated[Literal["welcome", "left", "removed", "idle"], Meta(description="why the player is here")]
    online: Annotated[int, Meta(ge=0, description="players in the world")]
    capacity: Annotated[int, Meta(ge=0, description="players that the world admits")]


class QueuedPayload(Payload, frozen=True):
    """Place in the queue for a full world; on change, at most once per second."""

    position: Annotated[int, Meta(ge=1, description="place in the queue, from 1")]
    of: Annotated[int, Meta(ge=1, description="length of the queue")]


PlacedReason: TypeAlias = Literal["enter", "resume", "respawn", "kiosk", "grid", "correction"]


class PlacedPayload(Payload, frozen=True):
    """The server moved the car: adopt the pose and stamp ``move.epoch`` with ``epoch`` from now on."""

    epoch: Annotated[Uint32, Meta(description="stamp of all moves from now on; compare for equality only")]
    slot: Annotated[Slot, Meta(description="the own slot: which snapshot rows are the own car")]
    x: X
    y: Y
    z: Z
    yaw: Yaw
    tick: Annotated[int, Meta(ge=0, description="tick at which the car was moved")]
    reason: Annotated[PlacedReason, Meta(description="why the server moved the car")]
    vx: Annotated[float, Meta(description="metres per second eastward")] = 0.0
    vz: Annotated[float, Meta(description="metres per second southward")] = 0.0
    seq: Annotated[int | None, Meta(description="`correction`: `seq` of the first move that was not accepted")] = None
    check: Annotated[str | None, Meta(description="`correction`: which check the move failed")] = None


class WhoRow(Row, frozen=True):
    """Who stands behind a slot."""

    slot: Slot
    player: Sub
    name: Annotated[str, Meta(description="the name shown to others")]
    vehicle: Annotated[str, Meta(description="vehicle class")]


class AtRow(Row, frozen=True):
    """Where a slot is at the message's ``t``. All are integers."""

    slot: Slot
    seq: Annotated[int, Meta(ge=0, le=65535, description="the player's last judged `move.seq`, modulo 65536")]
    x: Annotated[int, Meta(description="centimetres east of the north-west corner")]
    z: Annotated[int, Meta(description="centimetres south of the north-west corner")]
    yaw: Annotated[int, Meta(ge=0, le=6283, description="milliradians")]
    speed: Annotated[int, Meta(description="cm/s along the heading; negative: backwards")]
    flags: Annotated[int, Meta(ge=0, description="sum of flags")] = 0
    y: Annotated[int | None, Meta(description="centimetres above the datum; missing: on the ground")] = None


class Cell(Payload, frozen=True):
    """News of one cell."""

    c: CellKey
    full: Annotated[bool, Meta(description="`who` are all members: forget those known before")] = False
    who: Annotated[list[WhoRow], Meta(description="who came in; each has its row in `at` of the same message")] = []
    at: Annotated[list[AtRow], Meta(description="rows that changed, absolute values")] = []
    gone: Annotated[list[int], Meta(description="slots that left")] = []
    late: Annotated[int, Meta(ge=0, description="ticks by which the zone of this cell is behind")] = 0


class SnapshotPayload(Payload, frozen=True):
    """News of the area of interest at one tick. Apply: reset, drop, full cells cleared, all who, all at, all gone."""

    tick: Annotated[int, Meta(ge=0, description="number of the tick; grows, with gaps")]
    t: Annotated[ServerMs, Meta(description="time of the tick: server time, Unix milliseconds")]
    cells: Annotated[list[Cell], Meta(description="cells with news")]
    drop: Annotated[list[int], Meta(description="cells that are no longer watched")] = []
    reset: Annotated[bool, Meta(description="forget all cells first")] = False
    tier: Annotated[int, Meta(ge=0, description="what a crowd cost: 0 nothing, 1 rate, 2 sight, 3 turns")] = 0


class PropRow(Row, frozen=True):
    """A prop of a chunk."""

    kind: Annotated[str, Meta(description="which model")]
    x: X
    y: Y
    z: Z
    yaw: Yaw
    scale: Annotated[float, Meta(gt=0, description="factor on the model's size")]


class ChunkKiosk(Payload, frozen=True):
    """A kiosk that stands in a chunk; what never changes about it."""

    kiosk: Annotated[str, Meta(description="the kiosk's identifier")]
    kind: Annotated[str, Meta(description="what it is for")]
    x: X
    z: Z
    yaw: Yaw
    radius_m: Annotated[float, Meta(gt=0, description="metres from which it can be used")]


class ChunkGate(Payload, frozen=True):
    """A gate of a route that touches a chunk: the directed segment A to B."""

    route: Annotated[str, Meta(description="the route's identifier")]
    gate: GateNumber
    ax: Annotated[float, Meta(description="A: metres east of the north-west corner")]
    az: Annotated[float, Meta(description="A: metres south of the north-west corner")]
    bx: Annotated[float, Meta(description="B: metres east of the north-west corner")]
    bz: Annotated[float, Meta(description="B: metres south of the north-west corner")]


class ChunkPayload(Payload, frozen=True):
    """Static data of one chunk, in whole centimetres, milliradians and per cent: `chunkHash` recomputes its `hash`."""

    cx: ChunkNumber
    cz: ChunkNumber
    seed: Annotated[int, Meta(description="what the terrain of the chunk is generated from")]
    biome: Annotated[str, Meta(description="kind of landscape")]
    props: Annotated[list[PropRow], Meta(description="what stands here")]
    roads: Annotated[
        list[list[tuple[float, float, float, float]]],
        Meta(description="polylines of `[x, z, width, y]`, metres: all that shape the ground of the chunk"),
    ]
    ground: Annotated[
        list[int],
        Meta(
            min_length=GROUND_NUMBERS,
            max_length=GROUND_NUMBERS,
            description="the relief: edge of its squares in metres, roughness in per cent, then 3 x 3 heights in "
            "centimetres, row by row from the north-west: of the chunk's square and the eight around it",
        ),
    ]
    kiosks: Annotated[list[ChunkKiosk], Meta(description="kiosks that stand here")]
    gates: Annotated[list[ChunkGate], Meta(description="gates that touch the chunk")]
    hash: Annotated[str, Meta(description="of all other fields: equal hash, equal chunk")]


class ChunksSamePayload(Payload, frozen=True):
    """Chunks that were asked for and are not sent: what the client holds of them is what the shard has."""

    chunks: Annotated[
        list[tuple[ChunkIndex, ChunkIndex]],
        Meta(description="`[cx, cz]` each: the hash in `have` was right, or the chunk was sent on this connection a "
             "moment ago"),
    ]  # fmt: skip


class KioskPayload(Payload, frozen=True):
    """Answer of a kiosk, or (``action`` "state", unasked) its state to those near."""

    kiosk: Annotated[str, Meta(description="the kiosk's identifier")]
    action: Annotated[str, Meta(description='the action answered, or "state"')]
    ok: Annotated[bool, Meta(description="false: the kiosk refused")]
    reason: Annotated[str | None, Meta(description="why it refused: a word, a colon, a text for people")] = None
    state: Annotated[dict[str, Any] | None, Meta(description="what the action gives, or the kiosk's state")] = None


class PresenceRow(Row, frozen=True):
    """One player of a presence page."""

    player: Sub
    name: Annotated[str, Meta(description="the name shown to others")]
    state: Annotated[str, Meta(description="one of the keys of `counts`")]


class PresencePayload(Payload, frozen=True):
    """Counts, once per second when they changed; names only to followers and on pages."""

    online: Annotated[int, Meta(ge=0, description="players connected or held")]
    counts: Annotated[dict[str, int], Meta(description="players by state")]
    joined: Annotated[list[PresenceRow], Meta(description="who came; at most 50")] = []
    left: Annotated[list[str], Meta(description="players that went; at most 50")] = []
    changed: Annotated[list[PresenceRow], Meta(description="whose state changed; at most 50")] = []
    more: Annotated[bool, Meta(description="there was more than fits, or there is a next page")] = False
    page: Annotated[list[PresenceRow] | None, Meta(description="answer to `who`, ordered by player")] = None


class Racer(Payload, frozen=True):
    """One racer's standing in ``race_state``."""

    player: Sub
    name: Annotated[str, Meta(description="the name shown to others")]
    status: Annotated[str, Meta(description="what the racer does or how it ended")]
    lap: Lap
    gate: Annotated[GateNumber, Meta(description="the next gate of the lap, from 0")]
    place: Annotated[Place | None, Meta(description="place, from 1, while it is known")] = None
    away: Annotated[bool, Meta(description="its connection is lost; its clock runs, and it may come back")] = False
    penalty_ms: Annotated[Ms, Meta(description="added to its time, milliseconds")] = 0.0
    flags: Annotated[list[str], Meta(description="`false_start`, `invalidated`")] = []
    reason: Annotated[str | None, Meta(description="why it is out, or its result does not count")] = None


class RaceStatePayload(Payload, frozen=True):
    """The whole state of a race."""

    race: RaceKey
    rev: Rev
    phase: Annotated[
        Literal["open", "staging", "countdown", "running", "finishing", "finished", "cancelled"],
        Meta(description="how far the race is"),
    ]
    route: Annotated[str, Meta(description="the route's identifier")]
    racers: Annotated[list[Racer], Meta(description="all who take part")]
    start_at_ms: Annotated[
        float | None, Meta(description="when it starts or started: server time, Unix milliseconds")
    ] = None
    laps: Annotated[int, Meta(ge=1, description="laps to drive; 1 from point to point")] = 1
    closes_at_ms: Annotated[
        float | None, Meta(description="while `open`: when nobody can join any more; server time, Unix milliseconds")
    ] = None
    reason: Annotated[str | None, Meta(description="why it was cancelled")] = None


class RaceGatePayload(Payload, frozen=True):
    """A racer passed a gate."""

    race: RaceKey
    rev: Rev
    player: Sub
    lap: Lap
    gate: Annotated[GateNumber, Meta(description="the gate that was passed, from 0")]
    at_ms: Annotated[float, Meta(description="when: server time, Unix milliseconds")]
    err_ms: Annotated[float, Meta(ge=0, description="give or take, milliseconds")]
    split_ms: Annotated[float, Meta(description="time since the start, milliseconds")]
    place: Annotated[Place, Meta(description="provisional place, from 1")]
    gap_ms: Annotated[Ms, Meta(description="behind the first at this gate, milliseconds")] = 0.0


class RacePlace(Payload, frozen=True):
    """One line of a result."""

    place: Annotated[Place, Meta(description="place, from 1; equal in a dead heat")]
    player: Sub
    status: Annotated[str, Meta(description="how it ended")]
    time_ms: Annotated[Ms | None, Meta(description="time from start to finish, penalties included, milliseconds")] = (
        None
    )
    err_ms: Annotated[Ms | None, Meta(description="give or take, milliseconds")] = None
    gap_ms: Annotated[Ms | None, Meta(description="behind the first, milliseconds")] = None
    penalty_ms: Annotated[Ms, Meta(description="contained in `timeMs`, milliseconds")] = 0.0
    flags: Annotated[list[str], Meta(description="`false_start`, `invalidated`")] = []
    reason: Annotated[str | None, Meta(description="why it did not finish, or its result does not count")] = None


class RaceResultPayload(Payload, frozen=True):
    """The final order, and this racer's receipt."""

    race: RaceKey
    places: Annotated[list[RacePlace], Meta(description="all racers in order")]
    receipt: Annotated[
        str,
        Meta(
            description="a signed JWT for this racer, to be verified elsewhere; empty for spectators, "
            "and where the shard has no key to sign with"
        ),
    ]


class SignalHeardPayload(Payload, frozen=True):
    """Somebody near made a gesture."""

    slot: Slot
    kind: Annotated[SignalKind, Meta(description="which gesture")]


class NoticePayload(Payload, frozen=True):
    """Something the player or the client should know; not an error."""

    code: Annotated[
        Literal["auth_expiring", "draining", "degraded", "restored", "gate_missed", "wrong_way", "false_start"],
        Meta(description="what it is about"),
    ]
    message: Annotated[str, Meta(description="for people")]


class PongPayload(Payload, frozen=True):
    """``t`` of the ping and the server's time when it was answered."""

    t: Annotated[float, Meta(description="`t` of the `ping`, unchanged")]
    server_time_ms: ServerMs


class ErrorPayload(Payload, frozen=True):
    """A refusal."""

    code: Annotated[ErrorCode, Meta(description="which refusal")]
    message: Annotated[str, Meta(description="for people: what to change")]
    retry_after_ms: Annotated[Uint31 | None, Meta(description="not before, milliseconds from now")] = None


class Welcome(ServerEnvelope, frozen=True, tag="welcome"):
    """Answer to a good ``auth``; followed by ``lobby``, or by ``placed`` after a resume."""

    payload: WelcomePayload
    re: Re = None


class Lobby(ServerEnvelope, frozen=True, tag="lobby"):
    """The player is in the lobby."""

    payload: LobbyPayload
    re: Re = None


class Queued(ServerEnvelope, frozen=True, tag="queued"):
    """The world is full; the player waits."""

    payload: QueuedPayload
    re: Re = None


class Placed(ServerEnvelope, frozen=True, tag="placed"):
    """A server-made move."""

    payload: PlacedPayload
    re: Re = None


class Snapshot(ServerEnvelope, frozen=True, tag="snapshot"):
    """News of the area of interest, one per tick."""

    payload: SnapshotPayload


class Chunk(ServerEnvelope, frozen=True, tag="chunk"):
    """Static data of one chunk."""

    payload: ChunkPayload
    re: Re = None


class ChunksSame(ServerEnvelope, frozen=True, tag="chunks_same"):
    """In place of a ``chunk`` each: the client has these already."""

    payload: ChunksSamePayload
    re: Re = None


class Kiosk(ServerEnvelope, frozen=True, tag="kiosk"):
    """Answer or state of a kiosk."""

    payload: KioskPayload
    re: Re = None


class Presence(ServerEnvelope, frozen=True, tag="presence"):
    """Who is here."""

    payload: PresencePayload
    re: Re = None


class RaceState(ServerEnvelope, frozen=True, tag="race_state"):
    """The whole state of one race."""

    payload: RaceStatePayload
    re: Re = None


class RaceGate(ServerEnvelope, frozen=True, tag="race_gate"):
    """A gate was passed."""

    payload: RaceGatePayload


class RaceResult(ServerEnvelope, frozen=True, tag="race_result"):
    """A race is over."""

    payload: RaceResultPayload


class SignalHeard(ServerEnvelope, frozen=True, tag="signal"):
    """A gesture of somebody near."""

    payload: SignalHeardPayload


class Notice(ServerEnvelope, frozen=True, tag="notice"):
    """Something to know."""

    payload: NoticePayload


class Pong(ServerEnvelope, frozen=True, tag="pong"):
    """Answer to a ``ping``."""

    payload: PongPayload
    re: Re = None


class Error(ServerEnvelope, frozen=True, tag="error"):
    """A refusal."""

    payload: ErrorPayload
    re: Re = None


ServerMessage: TypeAlias = (
    Welcome
    | Lobby
    | Queued
    | Placed
    | Snapshot
    | Chunk
    | ChunksSame
    | Kiosk
    | Presence
    | RaceState
    | RaceGate
    | RaceResult
    | SignalHeard
    | Notice
    | Pong
    | Error
)
SERVER_MESSAGES: Final[tuple[type[ServerMessage], ...]] = get_args(ServerMessage)
