// Written by `python -m scripts.gen_types` from shared/messages. Do not edit: change the structs and run it again.
// Metres, seconds, radians unless a name or comment says otherwise. x east, y up, z south; PROTOCOL.md has the rest.

/** One JSON text frame. `id` numbers a client's message; the first direct reply carries the same number as `re`. */
export interface WebSocketMessage<Type extends string = string, Payload = unknown> {
  readonly type: Type;
  readonly payload: Payload;
  readonly id?: number;
  readonly re?: number;
}

/** version of this contract; `welcome.protocol` */
export const PROTOCOL_VERSION = 1;

/** usual ticks per second; `welcome.tickHz` is what holds */
export const TICK_HZ = 20;

/** edge of a chunk, metres */
export const CHUNK_M = 64;

/** a car without news is carried forward by its velocity for at most this long */
export const CARRY_FORWARD_MS = 150;

/** a row that did not change is sent again after this long */
export const PROOF_OF_LIFE_MS = 1000;

/** a freed slot is not given to another player for this long */
export const SLOT_REST_MS = 5000;

/** rows carry `move.seq` modulo 65536: these bits of it */
export const SEQ_MASK = 65535;

/** longest name, code points */
export const NAME_CHARS_MAX = 20;

/** largest client message, bytes */
export const MESSAGE_BYTES_MAX = 16384;

/** chunks that one message may ask for */
export const CHUNKS_MAX = 32;

/** Bits of `flags` in an `AtRow`. */
export const Flag = {
  /** in a race */
  RACING: 1,
  /** not solid to others */
  GHOST: 2,
  /** disconnected, held for a while */
  AWAY: 4,
  /** held in place by the server */
  FROZEN: 8,
  /** not on the ground */
  AIRBORNE: 16,
} as const;

/** What to do after a connection closed. */
export type Reconnect =
  /** stay away until the player asks again */
  | "never"
  /** once, with a newly issued token; if that is refused too, as `never` */
  | "fresh_token"
  /** back-off from 0.5 s: a random share of a limit that doubles with each failure up to 15 s */
  | "soon"
  /** the same from 2 s: everybody was cut at once, so spread out */
  | "spread"
  /** the same from 5 s, and not before `retryAfterMs` of the `error` that came before */
  | "later";

/** Why a connection closed. */
export const CloseCode = {
  /** ended as one side wished */
  NORMAL: 1000,
  /** a binary frame; all messages are text */
  UNSUPPORTED: 1003,
  /** a message above the size limit, or one in too many fragments */
  TOO_BIG: 1009,
  /** a fault of the server */
  INTERNAL: 1011,
  /** the server restarts */
  RESTARTING: 1012,
  /** the server has no room or cannot check tokens yet */
  OVERLOADED: 1013,
  /** malformed messages, again and again */
  MALFORMED: 4400,
  /** the token was not accepted */
  AUTH_FAILED: 4401,
  /** this player may not be here, or `auth` named another player than before */
  FORBIDDEN: 4403,
  /** no `auth` within 5 s of connecting */
  AUTH_TIMEOUT: 4408,
  /** a newer connection of the same player took over */
  REPLACED: 4409,
  /** the token ran out and was not refreshed */
  TOKEN_EXPIRED: 4419,
  /** removed by anti-cheat */
  REMOVED: 4428,
  /** too much for too long */
  RATE_LIMITED: 4429,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** The rule for each close code. */
export const RECONNECT: Readonly<Record<CloseCode, Reconnect>> = {
  1000: "never",
  1003: "never",
  1009: "never",
  1011: "soon",
  1012: "spread",
  1013: "later",
  4400: "never",
  4401: "fresh_token",
  4403: "never",
  4408: "soon",
  4409: "never",
  4419: "fresh_token",
  4428: "never",
  4429: "later",
};

/** What an `error` says. */
export const ErrorCode = {
  /**
   * not UTF-8 JSON, or a field missing, unknown, of a wrong type or out of bounds; the text names the field and the
   * bound, or the byte
   */
  MALFORMED: "malformed",
  /** `type` names no message that a client may send in this version */
  UNKNOWN_TYPE: "unknown_type",
  /** not in this state of the session, or not from where the player is */
  NOT_ALLOWED: "not_allowed",
  /** the token was not accepted: signature, issuer, audience, or a claim */
  AUTH_FAILED: "auth_failed",
  /** `auth` did not come within 5 s */
  AUTH_TIMEOUT: "auth_timeout",
  /** the token ran out */
  TOKEN_EXPIRED: "token_expired",
  /** the server cannot check tokens yet; try again */
  NOT_READY: "not_ready",
  /** this player, or this kind of token, may not be here */
  FORBIDDEN: "forbidden",
  /** a newer connection of the same player took over */
  REPLACED: "replaced",
  /** the world is full, and so is its queue */
  WORLD_FULL: "world_full",
  /** no such vehicle class */
  UNKNOWN_VEHICLE: "unknown_vehicle",
  /** no such spawn point */
  UNKNOWN_SPAWN: "unknown_spawn",
  /** no such kiosk */
  UNKNOWN_KIOSK: "unknown_kiosk",
  /** no such race, or it is over */
  UNKNOWN_RACE: "unknown_race",
  /** this shard does not offer that */
  UNSUPPORTED: "unsupported",
  /** removed by anti-cheat */
  REMOVED: "removed",
  /** too often; again after `retryAfterMs` */
  RATE_LIMITED: "rate_limited",
  /** a fault of the server; the message was not carried out */
  INTERNAL: "internal",
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** The Supabase access token; never logged. */
export interface AuthPayload {
  /** a JWT in its compact form; 1 to 15000 characters */
  readonly token: string;
}

/** How the player wants to appear. */
export interface EnterPayload {
  /**
   * shown to others; code points in Unicode form NFC, none of them a control, formatting or bidirectional character; no
   * space at either end, no two in a row; 3 to 20 characters
   */
  readonly name?: string;
  /** vehicle class; left out: the first class; 1 to 64 characters */
  readonly vehicle?: string;
  /** spawn point; left out: the server chooses; 1 to 64 characters */
  readonly spawn?: string;
}

/** The payload of a message without content. */
export type Empty = Readonly<Record<string, never>>;

/** One sample of the client's own car. `seq` grows within a connection; `y` left out means on the ground. */
export interface MovePayload {
  /** `epoch` of the last `placed`; any other is ignored; 0 to 4294967295 */
  readonly epoch: number;
  /** grows with every `move` of a connection, from any start; 0 to 4294967295 */
  readonly seq: number;
  /** milliseconds of the client's own clock; 0 to 1000000000000000 */
  readonly t: number;
  /** metres east of the north-west corner, inside the world; 0 to 65536 */
  readonly x: number;
  /** metres south of the north-west corner, inside the world; 0 to 65536 */
  readonly z: number;
  /** radians; heading (sin yaw, 0, cos yaw); -100 to 100 */
  readonly yaw: number;
  /** metres per second eastward; -200 to 200 */
  readonly vx: number;
  /** metres per second southward; -200 to 200 */
  readonly vz: number;
  /** metres above the datum; left out: on the ground; -1000 to 10000 */
  readonly y?: number;
  /** metres per second upward; -200 to 200 */
  readonly vy?: number;
}

/** Chunks to get, and chunks to compare: `want` and `have` together are 1 to 32, all within reach. */
export interface ChunksPayload {
  /** `[cx, cz]` each: chunks that the client lacks; at most 32 entries; each 0 to 1023 */
  readonly want: readonly (readonly [number, number])[];
  /**
   * `[cx, cz, hash]` each: chunks kept from an earlier world; sent only where the hash differs; at most 32 entries;
   * each 0 to 1023, 1 to 16 characters
   */
  readonly have?: readonly (readonly [number, number, string])[];
}

/** Use a kiosk within its radius. */
export interface InteractPayload {
  /** the kiosk's identifier, from its chunk; 1 to 64 characters */
  readonly kiosk: string;
  /** what to do there; the kiosk's kind decides what exists; 1 to 64 characters */
  readonly action: string;
  /**
   * what the action needs; at most 8 entries; keys 1 to 64 characters; strings at most 64 characters; integers 0 to
   * 2147483647
   */
  readonly args?: Readonly<Record<string, string | number | boolean>>;
}

/** The race to join or to leave. */
export interface RacePayload {
  /** the race's identifier, from `race_state` or a `race` kiosk; 1 to 64 characters */
  readonly race: string;
}

/** A page of the presence list, ordered by player; `after` is the last player of the page before. */
export interface WhoPayload {
  /** the last player of the page before; left out: from the start; 1 to 64 characters */
  readonly after?: string;
  /** players per page; 1 to 100; default 50 */
  readonly limit?: number;
  /** from now on name those who come, leave and change, too; default false */
  readonly follow?: boolean;
}

/** A gesture towards those near. */
export interface SignalPayload {
  /** which gesture */
  readonly kind: "horn" | "lights" | "wave";
}

/** `t` comes back unchanged in `pong`. */
export interface PingPayload {
  /** milliseconds of the client's own clock; comes back in `pong`; 0 to 1000000000000000 */
  readonly t: number;
}

/** The exact world: equal hashes mean equal chunks. */
export interface WorldInfo {
  /** name of the world */
  readonly preset: string;
  /** what the world is generated from; 0 to 4294967295 */
  readonly seed: number;
  /** edge of the square world, metres: 0 <= x, z < sizeM */
  readonly sizeM: number;
  /** edge of a chunk, metres */
  readonly chunkM: number;
  /** hex digits; chunks of any other are to be compared or forgotten */
  readonly hash: string;
}

/** What the shard accepts from one connection. */
export interface Limits {
  /** `move` messages per second; more are thinned */
  readonly movesPerSecond: number;
  /** largest message, bytes; a larger one closes 1009 */
  readonly messageBytes: number;
  /** chunks that one `chunks` may name */
  readonly chunksPerMessage: number;
  /** chunks per second, over long; much more at first and at once */
  readonly chunksPerSecond: number;
  /** chunks may be so far from the car's, along either axis */
  readonly chunksReach: number;
}

/** The token was good. */
export interface WelcomePayload {
  /** the player: `sub` of the token */
  readonly player: string;
  /** name of the session, for logs; survives a resume */
  readonly session: string;
  /** version of this contract */
  readonly protocol: number;
  /** ticks, and at most snapshots, per second; above 0 */
  readonly tickHz: number;
  /** server time, Unix milliseconds; at least 0 */
  readonly serverTimeMs: number;
  /** when the token runs out: server time, Unix milliseconds; at least 0 */
  readonly expiresAtMs: number;
  /** the car was held and is given back; `placed` follows, else `lobby` */
  readonly resumed: boolean;
  /** which world this is */
  readonly world: WorldInfo;
  /** rectangle `[x0, z0, x1, z1]` of each zone process, metres; for information only */
  readonly zones: readonly (readonly [number, number, number, number])[];
  /** what this connection may send */
  readonly limits: Limits;
}

/** Once on every entry into the lobby. */
export interface LobbyPayload {
  /** why the player is here */
  readonly reason: "idle" | "left" | "removed" | "welcome";
  /** players in the world; at least 0 */
  readonly online: number;
  /** players that the world admits; at least 0 */
  readonly capacity: number;
}

/** Place in the queue for a full world; on change, at most once per second. */
export interface QueuedPayload {
  /** place in the queue, from 1; at least 1 */
  readonly position: number;
  /** length of the queue; at least 1 */
  readonly of: number;
}

/** The server moved the car: adopt the pose and stamp `move.epoch` with `epoch` from now on. */
export interface PlacedPayload {
  /** stamp of all moves from now on; compare for equality only; 0 to 4294967295 */
  readonly epoch: number;
  /** the own slot: which snapshot rows are the own car; at least 0 */
  readonly slot: number;
  /** metres east of the north-west corner */
  readonly x: number;
  /** metres above the datum */
  readonly y: number;
  /** metres south of the north-west corner */
  readonly z: number;
  /** radians; heading (sin yaw, 0, cos yaw) */
  readonly yaw: number;
  /** tick at which the car was moved; at least 0 */
  readonly tick: number;
  /** why the server moved the car */
  readonly reason: "correction" | "enter" | "grid" | "kiosk" | "respawn" | "resume";
  /** metres per second eastward; default 0 */
  readonly vx?: number;
  /** metres per second southward; default 0 */
  readonly vz?: number;
  /** `correction`: `seq` of the first move that was not accepted */
  readonly seq?: number;
  /** `correction`: which check the move failed */
  readonly check?: string;
}

/** Who stands behind a slot. */
export type WhoRow = readonly [
  /** a player's number while it is here; reused after 5 s at least; at least 0 */
  slot: number,
  /** the player: `sub` of the token */
  player: string,
  /** the name shown to others */
  name: string,
  /** vehicle class */
  vehicle: string,
];

/** Where a slot is at the message's `t`. All are integers. */
export type AtRow = readonly [
  /** a player's number while it is here; reused after 5 s at least; at least 0 */
  slot: number,
  /** the player's last judged `move.seq`, modulo 65536; 0 to 65535 */
  seq: number,
  /** centimetres east of the north-west corner */
  x: number,
  /** centimetres south of the north-west corner */
  z: number,
  /** milliradians; 0 to 6283 */
  yaw: number,
  /** cm/s along the heading; negative: backwards */
  speed: number,
  /** sum of flags; at least 0; default 0 */
  flags?: number,
  /** centimetres above the datum; missing: on the ground */
  y?: number,
];

/** News of one cell. */
export interface Cell {
  /** name of a cell: an opaque set of players; at least 0 */
  readonly c: number;
  /** `who` are all members: forget those known before; default false */
  readonly full?: boolean;
  /** who came in; each has its row in `at` of the same message */
  readonly who?: readonly WhoRow[];
  /** rows that changed, absolute values */
  readonly at?: readonly AtRow[];
  /** slots that left */
  readonly gone?: readonly number[];
  /** ticks by which the zone of this cell is behind; at least 0; default 0 */
  readonly late?: number;
}

/** News of the area of interest at one tick. Apply: reset, drop, full cells cleared, all who, all at, all gone. */
export interface SnapshotPayload {
  /** number of the tick; grows, with gaps; at least 0 */
  readonly tick: number;
  /** time of the tick: server time, Unix milliseconds; at least 0 */
  readonly t: number;
  /** cells with news */
  readonly cells: readonly Cell[];
  /** cells that are no longer watched */
  readonly drop?: readonly number[];
  /** forget all cells first; default false */
  readonly reset?: boolean;
  /** what a crowd cost: 0 nothing, 1 rate, 2 sight, 3 turns; at least 0; default 0 */
  readonly tier?: number;
}

/** A prop of a chunk. */
export type PropRow = readonly [
  /** which model */
  kind: string,
  /** metres east of the north-west corner */
  x: number,
  /** metres above the datum */
  y: number,
  /** metres south of the north-west corner */
  z: number,
  /** radians; heading (sin yaw, 0, cos yaw) */
  yaw: number,
  /** factor on the model's size; above 0 */
  scale: number,
];

/** A kiosk that stands in a chunk; what never changes about it. */
export interface ChunkKiosk {
  /** the kiosk's identifier */
  readonly kiosk: string;
  /** what it is for */
  readonly kind: string;
  /** metres east of the north-west corner */
  readonly x: number;
  /** metres south of the north-west corner */
  readonly z: number;
  /** radians; heading (sin yaw, 0, cos yaw) */
  readonly yaw: number;
  /** metres from which it can be used; above 0 */
  readonly radiusM: number;
}

/** A gate of a route that touches a chunk: the directed segment A to B. */
export interface ChunkGate {
  /** the route's identifier */
  readonly route: string;
  /** gate of the lap, from 0; at least 0 */
  readonly gate: number;
  /** A: metres east of the north-west corner */
  readonly ax: number;
  /** A: metres south of the north-west corner */
  readonly az: number;
  /** B: metres east of the north-west corner */
  readonly bx: number;
  /** B: metres south of the north-west corner */
  readonly bz: number;
}

/** Static data of one chunk, in whole centimetres, milliradians and per cent: `chunkHash` recomputes its `hash`. */
export interface ChunkPayload {
  /** index of the chunk: floor(metres / 64); at least 0 */
  readonly cx: number;
  /** index of the chunk: floor(metres / 64); at least 0 */
  readonly cz: number;
  /** what the terrain of the chunk is generated from */
  readonly seed: number;
  /** kind of landscape */
  readonly biome: string;
  /** what stands here */
  readonly props: readonly PropRow[];
  /** polylines of `[x, z, width, y]`, metres: all that shape the ground of the chunk */
  readonly roads: readonly (readonly (readonly [number, number, number, number])[])[];
  /**
   * the relief: edge of its squares in metres, roughness in per cent, then 3 x 3 heights in centimetres, row by row
   * from the north-west: of the chunk's square and the eight around it; 11 to 11 entries
   */
  readonly ground: readonly number[];
  /** kiosks that stand here */
  readonly kiosks: readonly ChunkKiosk[];
  /** gates that touch the chunk */
  readonly gates: readonly ChunkGate[];
  /** of all other fields: equal hash, equal chunk */
  readonly hash: string;
}

/** Chunks that were asked for and are not sent: what the client holds of them is what the shard has. */
export interface ChunksSamePayload {
  /**
   * `[cx, cz]` each: the hash in `have` was right, or the chunk was sent on this connection a moment ago; each 0 to
   * 1023
   */
  readonly chunks: readonly (readonly [number, number])[];
}

/** Answer of a kiosk, or (`action` "state", unasked) its state to those near. */
export interface KioskPayload {
  /** the kiosk's identifier */
  readonly kiosk: string;
  /** the action answered, or "state" */
  readonly action: string;
  /** false: the kiosk refused */
  readonly ok: boolean;
  /** why it refused: a word, a colon, a text for people */
  readonly reason?: string;
  /** what the action gives, or the kiosk's state */
  readonly state?: Readonly<Record<string, unknown>>;
}

/** One player of a presence page. */
export type PresenceRow = readonly [
  /** the player: `sub` of the token */
  player: string,
  /** the name shown to others */
  name: string,
  /** one of the keys of `counts` */
  state: string,
];

/** Counts, once per second when they changed; names only to followers and on pages. */
export interface PresencePayload {
  /** players connected or held; at least 0 */
  readonly online: number;
  /** players by state */
  readonly counts: Readonly<Record<string, number>>;
  /** who came; at most 50 */
  readonly joined?: readonly PresenceRow[];
  /** players that went; at most 50 */
  readonly left?: readonly string[];
  /** whose state changed; at most 50 */
  readonly changed?: readonly PresenceRow[];
  /** there was more than fits, or there is a next page; default false */
  readonly more?: boolean;
  /** answer to `who`, ordered by player */
  readonly page?: readonly PresenceRow[];
}

/** One racer's standing in `race_state`. */
export interface Racer {
  /** the player: `sub` of the token */
  readonly player: string;
  /** the name shown to others */
  readonly name: string;
  /** what the racer does or how it ended */
  readonly status: string;
  /** lap, from 0; at least 0 */
  readonly lap: number;
  /** the next gate of the lap, from 0; at least 0 */
  readonly gate: number;
  /** place, from 1, while it is known; at least 1 */
  readonly place?: number;
  /** its connection is lost; its clock runs, and it may come back; default false */
  readonly away?: boolean;
  /** added to its time, milliseconds; at least 0; default 0 */
  readonly penaltyMs?: number;
  /** `false_start`, `invalidated` */
  readonly flags?: readonly string[];
  /** why it is out, or its result does not count */
  readonly reason?: string;
}

/** The whole state of a race. */
export interface RaceStatePayload {
  /** the race's identifier */
  readonly race: string;
  /** revision of the race; grows with every change; at least 0 */
  readonly rev: number;
  /** how far the race is */
  readonly phase: "cancelled" | "countdown" | "finished" | "finishing" | "open" | "running" | "staging";
  /** the route's identifier */
  readonly route: string;
  /** all who take part */
  readonly racers: readonly Racer[];
  /** when it starts or started: server time, Unix milliseconds */
  readonly startAtMs?: number;
  /** laps to drive; 1 from point to point; at least 1; default 1 */
  readonly laps?: number;
  /** while `open`: when nobody can join any more; server time, Unix milliseconds */
  readonly closesAtMs?: number;
  /** why it was cancelled */
  readonly reason?: string;
}

/** A racer passed a gate. */
export interface RaceGatePayload {
  /** the race's identifier */
  readonly race: string;
  /** revision of the race; grows with every change; at least 0 */
  readonly rev: number;
  /** the player: `sub` of the token */
  readonly player: string;
  /** lap, from 0; at least 0 */
  readonly lap: number;
  /** the gate that was passed, from 0; at least 0 */
  readonly gate: number;
  /** when: server time, Unix milliseconds */
  readonly atMs: number;
  /** give or take, milliseconds; at least 0 */
  readonly errMs: number;
  /** time since the start, milliseconds */
  readonly splitMs: number;
  /** provisional place, from 1; at least 1 */
  readonly place: number;
  /** behind the first at this gate, milliseconds; at least 0; default 0 */
  readonly gapMs?: number;
}

/** One line of a result. */
export interface RacePlace {
  /** place, from 1; equal in a dead heat; at least 1 */
  readonly place: number;
  /** the player: `sub` of the token */
  readonly player: string;
  /** how it ended */
  readonly status: string;
  /** time from start to finish, penalties included, milliseconds; at least 0 */
  readonly timeMs?: number;
  /** give or take, milliseconds; at least 0 */
  readonly errMs?: number;
  /** behind the first, milliseconds; at least 0 */
  readonly gapMs?: number;
  /** contained in `timeMs`, milliseconds; at least 0; default 0 */
  readonly penaltyMs?: number;
  /** `false_start`, `invalidated` */
  readonly flags?: readonly string[];
  /** why it did not finish, or its result does not count */
  readonly reason?: string;
}

/** The final order, and this racer's receipt. */
export interface RaceResultPayload {
  /** the race's identifier */
  readonly race: string;
  /** all racers in order */
  readonly places: readonly RacePlace[];
  /**
   * a signed JWT for this racer, to be verified elsewhere; empty for spectators, and where the shard has no key to sign
   * with
   */
  readonly receipt: string;
}

/** Somebody near made a gesture. */
export interface SignalHeardPayload {
  /** a player's number while it is here; reused after 5 s at least; at least 0 */
  readonly slot: number;
  /** which gesture */
  readonly kind: "horn" | "lights" | "wave";
}

/** Something the player or the client should know; not an error. */
export interface NoticePayload {
  /** what it is about */
  readonly code: "auth_expiring" | "degraded" | "draining" | "false_start" | "gate_missed" | "restored" | "wrong_way";
  /** for people */
  readonly message: string;
}

/** `t` of the ping and the server's time when it was answered. */
export interface PongPayload {
  /** `t` of the `ping`, unchanged */
  readonly t: number;
  /** server time, Unix milliseconds; at least 0 */
  readonly serverTimeMs: number;
}

/** A refusal. */
export interface ErrorPayload {
  /** which refusal */
  readonly code: ErrorCode;
  /** for people: what to change */
  readonly message: string;
  /** not before, milliseconds from now; 0 to 2147483647 */
  readonly retryAfterMs?: number;
}

/**
 * First message, within 5 s. Later on the same connection: a refresh of the same player's token. Allowed in:
 * connecting, lobby, queued, world.
 */
export interface AuthMessage {
  readonly type: "auth";
  readonly payload: AuthPayload;
  readonly id?: number;
}

/** Lobby to world; answered by `placed`, or `queued` while the world is full. Allowed in: lobby. */
export interface EnterMessage {
  readonly type: "enter";
  readonly payload: EnterPayload;
  readonly id?: number;
}

/** World or queue to lobby; answered by `lobby`. Allowed in: queued, world. */
export interface LeaveMessage {
  readonly type: "leave";
  readonly payload: Empty;
  readonly id?: number;
}

/** A sample of the own car at up to 30 Hz; acknowledged by `seq` in the own snapshot row. Allowed in: world. */
export interface MoveMessage {
  readonly type: "move";
  readonly payload: MovePayload;
  readonly id?: number;
}

/** Put my car on the nearest safe place; answered by `placed`. Allowed in: world. */
export interface RespawnMessage {
  readonly type: "respawn";
  readonly payload: Empty;
  readonly id?: number;
}

/**
 * Ask for static world data; one `chunk` each, or `chunks_same` for what the client has. Allowed in: lobby, queued,
 * world.
 */
export interface ChunksMessage {
  readonly type: "chunks";
  readonly payload: ChunksPayload;
  readonly id?: number;
}

/** Use a kiosk; answered by `kiosk`. Allowed in: world. */
export interface InteractMessage {
  readonly type: "interact";
  readonly payload: InteractPayload;
  readonly id?: number;
}

/** Join a race that is open; answered by `race_state`. Allowed in: world. */
export interface RaceJoinMessage {
  readonly type: "race_join";
  readonly payload: RacePayload;
  readonly id?: number;
}

/** Leave a race, at once and for good; answered by `race_state`. Allowed in: world. */
export interface RaceLeaveMessage {
  readonly type: "race_leave";
  readonly payload: RacePayload;
  readonly id?: number;
}

/** A page of who is here; answered by `presence`. Allowed in: lobby, queued, world. */
export interface WhoMessage {
  readonly type: "who";
  readonly payload: WhoPayload;
  readonly id?: number;
}

/** Show a gesture to those near. Allowed in: world. */
export interface SignalMessage {
  readonly type: "signal";
  readonly payload: SignalPayload;
  readonly id?: number;
}

/** Measure the round trip and the server's clock; answered by `pong`. Allowed in: lobby, queued, world. */
export interface PingMessage {
  readonly type: "ping";
  readonly payload: PingPayload;
  readonly id?: number;
}

/** What a client sends. */
export type ClientMessage =
  | AuthMessage
  | EnterMessage
  | LeaveMessage
  | MoveMessage
  | RespawnMessage
  | ChunksMessage
  | InteractMessage
  | RaceJoinMessage
  | RaceLeaveMessage
  | WhoMessage
  | SignalMessage
  | PingMessage;

/** Payloads by type, client side. */
export interface ClientPayloads {
  readonly auth: AuthPayload;
  readonly enter: EnterPayload;
  readonly leave: Empty;
  readonly move: MovePayload;
  readonly respawn: Empty;
  readonly chunks: ChunksPayload;
  readonly interact: InteractPayload;
  readonly race_join: RacePayload;
  readonly race_leave: RacePayload;
  readonly who: WhoPayload;
  readonly signal: SignalPayload;
  readonly ping: PingPayload;
}

/** Answer to a good `auth`; followed by `lobby`, or by `placed` after a resume. */
export interface WelcomeMessage {
  readonly type: "welcome";
  readonly payload: WelcomePayload;
  readonly re?: number;
}

/** The player is in the lobby. */
export interface LobbyMessage {
  readonly type: "lobby";
  readonly payload: LobbyPayload;
  readonly re?: number;
}

/** The world is full; the player waits. */
export interface QueuedMessage {
  readonly type: "queued";
  readonly payload: QueuedPayload;
  readonly re?: number;
}

/** A server-made move. */
export interface PlacedMessage {
  readonly type: "placed";
  readonly payload: PlacedPayload;
  readonly re?: number;
}

/** News of the area of interest, one per tick. */
export interface SnapshotMessage {
  readonly type: "snapshot";
  readonly payload: SnapshotPayload;
}

/** Static data of one chunk. */
export interface ChunkMessage {
  readonly type: "chunk";
  readonly payload: ChunkPayload;
  readonly re?: number;
}

/** In place of a `chunk` each: the client has these already. */
export interface ChunksSameMessage {
  readonly type: "chunks_same";
  readonly payload: ChunksSamePayload;
  readonly re?: number;
}

/** Answer or state of a kiosk. */
export interface KioskMessage {
  readonly type: "kiosk";
  readonly payload: KioskPayload;
  readonly re?: number;
}

/** Who is here. */
export interface PresenceMessage {
  readonly type: "presence";
  readonly payload: PresencePayload;
  readonly re?: number;
}

/** The whole state of one race. */
export interface RaceStateMessage {
  readonly type: "race_state";
  readonly payload: RaceStatePayload;
  readonly re?: number;
}

/** A gate was passed. */
export interface RaceGateMessage {
  readonly type: "race_gate";
  readonly payload: RaceGatePayload;
}

/** A race is over. */
export interface RaceResultMessage {
  readonly type: "race_result";
  readonly payload: RaceResultPayload;
}

/** A gesture of somebody near. */
export interface SignalHeardMessage {
  readonly type: "signal";
  readonly payload: SignalHeardPayload;
}

/** Something to know. */
export interface NoticeMessage {
  readonly type: "notice";
  readonly payload: NoticePayload;
}

/** Answer to a `ping`. */
export interface PongMessage {
  readonly type: "pong";
  readonly payload: PongPayload;
  readonly re?: number;
}

/** A refusal. */
export interface ErrorMessage {
  readonly type: "error";
  readonly payload: ErrorPayload;
  readonly re?: number;
}

/** What the shard sends. Ignore types and keys that are not listed. */
export type ServerMessage =
  | WelcomeMessage
  | LobbyMessage
  | QueuedMessage
  | PlacedMessage
  | SnapshotMessage
  | ChunkMessage
  | ChunksSameMessage
  | KioskMessage
  | PresenceMessage
  | RaceStateMessage
  | RaceGateMessage
  | RaceResultMessage
  | SignalHeardMessage
  | NoticeMessage
  | PongMessage
  | ErrorMessage;

/** Payloads by type, server side. */
export interface ServerPayloads {
  readonly welcome: WelcomePayload;
  readonly lobby: LobbyPayload;
  readonly queued: QueuedPayload;
  readonly placed: PlacedPayload;
  readonly snapshot: SnapshotPayload;
  readonly chunk: ChunkPayload;
  readonly chunks_same: ChunksSamePayload;
  readonly kiosk: KioskPayload;
  readonly presence: PresencePayload;
  readonly race_state: RaceStatePayload;
  readonly race_gate: RaceGatePayload;
  readonly race_result: RaceResultPayload;
  readonly signal: SignalHeardPayload;
  readonly notice: NoticePayload;
  readonly pong: PongPayload;
  readonly error: ErrorPayload;
}

type Conforming<Message extends WebSocketMessage> = Message;

/** Every message of both directions; does not compile if one were not a `WebSocketMessage`. */
export type AnyMessage = Conforming<ClientMessage | ServerMessage>;

/** Types of the direct reply to each client message; any may be refused by `error` instead. */
export interface Answers {
  readonly auth: "welcome";
  readonly enter: "placed" | "queued";
  readonly leave: "lobby";
  readonly move: never;
  readonly respawn: "placed";
  readonly chunks: "chunk" | "chunks_same";
  readonly interact: "kiosk";
  readonly race_join: "race_state";
  readonly race_leave: "race_state";
  readonly who: "presence";
  readonly signal: never;
  readonly ping: "pong";
}

/** Wire names of all fields, by message type and by part; `?` marks those that may be left out. */
export const MESSAGE_FIELDS = {
  client: {
    auth: ["token"],
    enter: ["name?", "vehicle?", "spawn?"],
    leave: [],
    move: ["epoch", "seq", "t", "x", "z", "yaw", "vx", "vz", "y?", "vy?"],
    respawn: [],
    chunks: ["want", "have?"],
    interact: ["kiosk", "action", "args?"],
    race_join: ["race"],
    race_leave: ["race"],
    who: ["after?", "limit?", "follow?"],
    signal: ["kind"],
    ping: ["t"],
  },
  server: {
    welcome: ["player", "session", "protocol", "tickHz", "serverTimeMs", "expiresAtMs", "resumed", "world", "zones", "limits"],
    lobby: ["reason", "online", "capacity"],
    queued: ["position", "of"],
    placed: ["epoch", "slot", "x", "y", "z", "yaw", "tick", "reason", "vx?", "vz?", "seq?", "check?"],
    snapshot: ["tick", "t", "cells", "drop?", "reset?", "tier?"],
    chunk: ["cx", "cz", "seed", "biome", "props", "roads", "ground", "kiosks", "gates", "hash"],
    chunks_same: ["chunks"],
    kiosk: ["kiosk", "action", "ok", "reason?", "state?"],
    presence: ["online", "counts", "joined?", "left?", "changed?", "more?", "page?"],
    race_state: ["race", "rev", "phase", "route", "racers", "startAtMs?", "laps?", "closesAtMs?", "reason?"],
    race_gate: ["race", "rev", "player", "lap", "gate", "atMs", "errMs", "splitMs", "place", "gapMs?"],
    race_result: ["race", "places", "receipt"],
    signal: ["slot", "kind"],
    notice: ["code", "message"],
    pong: ["t", "serverTimeMs"],
    error: ["code", "message", "retryAfterMs?"],
  },
  parts: {
    WorldInfo: ["preset", "seed", "sizeM", "chunkM", "hash"],
    Limits: ["movesPerSecond", "messageBytes", "chunksPerMessage", "chunksPerSecond", "chunksReach"],
    WhoRow: ["slot", "player", "name", "vehicle"],
    AtRow: ["slot", "seq", "x", "z", "yaw", "speed", "flags?", "y?"],
    Cell: ["c", "full?", "who?", "at?", "gone?", "late?"],
    PropRow: ["kind", "x", "y", "z", "yaw", "scale"],
    ChunkKiosk: ["kiosk", "kind", "x", "z", "yaw", "radiusM"],
    ChunkGate: ["route", "gate", "ax", "az", "bx", "bz"],
    PresenceRow: ["player", "name", "state"],
    Racer: ["player", "name", "status", "lap", "gate", "place?", "away?", "penaltyMs?", "flags?", "reason?"],
    RacePlace: ["place", "player", "status", "timeMs?", "errMs?", "gapMs?", "penaltyMs?", "flags?", "reason?"],
  },
} as const;
