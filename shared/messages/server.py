"""What the shard sends."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, get_args

from shared.messages.client import SignalKind
from shared.messages.envelope import ErrorCode, Payload, Row, ServerEnvelope, ServerMs, Uint31, Uint32


class WorldInfo(Payload, frozen=True):
    """The exact world: equal hashes mean equal chunks."""

    preset: str
    seed: Uint32
    size_m: int
    chunk_m: int
    hash: str


class Limits(Payload, frozen=True):
    """What the shard accepts from one connection."""

    moves_per_second: int
    message_bytes: int
    chunks_per_message: int


class WelcomePayload(Payload, frozen=True):
    """The token was good. ``zones`` are the rectangles ``[x0, z0, x1, z1]`` in metres, one per zone process."""

    player: str
    session: str
    protocol: int
    tick_hz: float
    server_time_ms: ServerMs
    expires_at_ms: ServerMs
    resumed: bool
    world: WorldInfo
    zones: list[tuple[float, float, float, float]]
    limits: Limits


class LobbyPayload(Payload, frozen=True):
    """Once on every entry into the lobby."""

    reason: Literal["welcome", "left", "removed", "idle"]
    online: int
    capacity: int


class QueuedPayload(Payload, frozen=True):
    """Place in the queue for a full world, from 1; on change, at most once per second."""

    position: int
    of: int


PlacedReason: TypeAlias = Literal["enter", "resume", "respawn", "kiosk", "grid", "correction"]


class PlacedPayload(Payload, frozen=True):
    """The server moved the car: adopt the pose and stamp ``move.epoch`` with ``epoch`` from now on."""

    epoch: Uint32
    slot: int
    x: float
    y: float
    z: float
    yaw: float
    tick: int
    reason: PlacedReason
    vx: float = 0.0
    vz: float = 0.0
    seq: int | None = None
    check: str | None = None


class WhoRow(Row, frozen=True):
    """Who stands behind a slot."""

    slot: int
    player: str
    name: str
    vehicle: str


class AtRow(Row, frozen=True):
    """Where a slot is at the message's ``t``: centimetres, milliradians (0..6283), cm/s along the heading."""

    slot: int
    seq: int
    x: int
    z: int
    yaw: int
    speed: int
    flags: int = 0
    y: int | None = None


class Cell(Payload, frozen=True):
    """News of one cell. ``full`` replaces its members; otherwise ``who`` came in, ``gone`` left, ``at`` changed."""

    c: int
    full: bool = False
    who: list[WhoRow] = []
    at: list[AtRow] = []
    gone: list[int] = []
    late: int = 0


class SnapshotPayload(Payload, frozen=True):
    """News of the area of interest at one tick. Apply: reset, drop, full cells cleared, all who, all at, all gone."""

    tick: int
    t: ServerMs
    cells: list[Cell]
    drop: list[int] = []
    reset: bool = False
    tier: int = 0


class PropRow(Row, frozen=True):
    """A prop of a chunk: kind, pose in metres and radians, scale."""

    kind: str
    x: float
    y: float
    z: float
    yaw: float
    scale: float


class ChunkKiosk(Payload, frozen=True):
    """A kiosk that stands in a chunk; what never changes about it."""

    kiosk: str
    kind: str
    x: float
    z: float
    yaw: float
    radius_m: float


class ChunkGate(Payload, frozen=True):
    """A gate of a route that touches a chunk: the directed segment A to B, metres."""

    route: str
    gate: int
    ax: float
    az: float
    bx: float
    bz: float


class ChunkPayload(Payload, frozen=True):
    """Static data of one chunk. ``roads`` are polylines of ``[x, z, width]`` in metres."""

    cx: int
    cz: int
    seed: int
    biome: str
    props: list[PropRow]
    roads: list[list[tuple[float, float, float]]]
    kiosks: list[ChunkKiosk]
    gates: list[ChunkGate]
    hash: str


class KioskPayload(Payload, frozen=True):
    """Answer of a kiosk, or (``action`` "state") its state to those near."""

    kiosk: str
    action: str
    ok: bool
    reason: str | None = None
    state: dict[str, Any] | None = None


class PresenceRow(Row, frozen=True):
    """One player of a presence page."""

    player: str
    name: str
    state: str


class PresencePayload(Payload, frozen=True):
    """Counts by state; names only for followers and on pages."""

    online: int
    counts: dict[str, int]
    joined: list[PresenceRow] = []
    left: list[str] = []
    changed: list[PresenceRow] = []
    more: bool = False
    page: list[PresenceRow] | None = None


class Racer(Payload, frozen=True):
    """One racer's standing in ``race_state``."""

    player: str
    name: str
    status: str
    lap: int
    gate: int
    place: int | None = None


class RaceStatePayload(Payload, frozen=True):
    """The whole state of a race; ``rev`` grows with every change."""

    race: str
    rev: int
    phase: Literal["open", "staging", "countdown", "running", "finishing", "finished", "cancelled"]
    route: str
    racers: list[Racer]
    start_at_ms: float | None = None


class RaceGatePayload(Payload, frozen=True):
    """A racer passed a gate at ``at_ms`` server time, give or take ``err_ms``."""

    race: str
    rev: int
    player: str
    lap: int
    gate: int
    at_ms: float
    err_ms: float
    split_ms: float
    place: int


class RacePlace(Payload, frozen=True):
    """One line of a result."""

    place: int
    player: str
    status: str
    time_ms: float | None = None


class RaceResultPayload(Payload, frozen=True):
    """The final order; ``receipt`` is a signed JWT for this racer, to be verified elsewhere."""

    race: str
    places: list[RacePlace]
    receipt: str


class SignalHeardPayload(Payload, frozen=True):
    """Somebody near made a gesture."""

    slot: int
    kind: SignalKind


class NoticePayload(Payload, frozen=True):
    """Something the player or the client should know; not an error."""

    code: Literal["auth_expiring", "draining", "degraded", "restored"]
    message: str


class PongPayload(Payload, frozen=True):
    """``t`` of the ping and the server's time when it was answered."""

    t: float
    server_time_ms: ServerMs


class ErrorPayload(Payload, frozen=True):
    """A refusal; ``message`` says what to change."""

    code: ErrorCode
    message: str
    retry_after_ms: int | None = None


class Welcome(ServerEnvelope, frozen=True, tag="welcome"):
    """Answer to a good ``auth``; followed by ``lobby``, or by ``placed`` after a resume."""

    payload: WelcomePayload
    re: Uint31 | None = None


class Lobby(ServerEnvelope, frozen=True, tag="lobby"):
    """The player is in the lobby."""

    payload: LobbyPayload
    re: Uint31 | None = None


class Queued(ServerEnvelope, frozen=True, tag="queued"):
    """The world is full; the player waits."""

    payload: QueuedPayload
    re: Uint31 | None = None


class Placed(ServerEnvelope, frozen=True, tag="placed"):
    """A server-made move."""

    payload: PlacedPayload
    re: Uint31 | None = None


class Snapshot(ServerEnvelope, frozen=True, tag="snapshot"):
    """News of the area of interest, one per tick."""

    payload: SnapshotPayload


class Chunk(ServerEnvelope, frozen=True, tag="chunk"):
    """Static data of one chunk."""

    payload: ChunkPayload
    re: Uint31 | None = None


class Kiosk(ServerEnvelope, frozen=True, tag="kiosk"):
    """Answer or state of a kiosk."""

    payload: KioskPayload
    re: Uint31 | None = None


class Presence(ServerEnvelope, frozen=True, tag="presence"):
    """Who is here."""

    payload: PresencePayload
    re: Uint31 | None = None


class RaceState(ServerEnvelope, frozen=True, tag="race_state"):
    """The whole state of one race."""

    payload: RaceStatePayload
    re: Uint31 | None = None


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
    re: Uint31 | None = None


class Error(ServerEnvelope, frozen=True, tag="error"):
    """A refusal."""

    payload: ErrorPayload
    re: Uint31 | None = None


ServerMessage: TypeAlias = (
    Welcome
    | Lobby
    | Queued
    | Placed
    | Snapshot
    | Chunk
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
