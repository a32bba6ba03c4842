import { ChunkCache } from "./chunks.js";
import { hostTime, type Time } from "./clock.js";
import { type Closed, Connection, type SocketConstructor, type TokenProvider } from "./connection.js";
import { Emitter } from "./emitter.js";
import { EntityMap, type Entity } from "./entities.js";
import { Interpolation, type Pose } from "./interpolation.js";
import type {
  Answers,
  AtRow,
  ClientPayloads,
  EnterPayload,
  PlacedPayload,
  QueuedPayload,
  ServerMessage,
  ServerPayloads,
  SnapshotPayload,
  WelcomePayload,
} from "./messages.js";
import { type CarSource, MoveSender } from "./moves.js";

/** Where the player is: `waiting` means that a lost connection will be tried again. */
export type Status = "offline" | "connecting" | "lobby" | "queued" | "world" | "waiting";

/** Everything that can be listened to: every message of the server by its type, and what the client adds. */
export interface ClientEvents extends ServerPayloads {
  readonly status: Status;
  readonly closed: Closed;
  /** The token was renewed on the live connection. */
  readonly refreshed: WelcomePayload;
  /** There was no token, or it could not be renewed; tried again. */
  readonly token_failed: unknown;
  readonly entity_entered: Entity;
  readonly entity_left: Entity;
  /** The shard has judged the own `move` with this `seq`, and shows the car at `row`. */
  readonly acknowledged: { readonly seq: number; readonly row: AtRow };
}

export interface ClientOptions {
  /** `wss://host/ws` */
  readonly url: string;
  /** Gives the access token; with `fresh` true the last one was refused or runs out. May be a function of nothing. */
  readonly token: TokenProvider;
  /** How far in the past others are drawn, so that there are rows on both sides. Default 100 ms. */
  readonly viewDelayMs?: number;
  /** Default: the host's own. */
  readonly WebSocket?: SocketConstructor;
  /** Default: the host's monotonic clock and timers. */
  readonly time?: Time;
  /** Numbers in [0, 1) that spread reconnects. Default `Math.random`. */
  readonly random?: () => number;
}

/**
 * A player's client: one object for the whole stay, through reconnects.
 *
 * It keeps the connection, the token and the clock; rebuilds who is near (`entities`) and gives their poses (`sample`);
 * sends the own car (`drive`); and passes every message on as an event (`on`).
 */
export class ShardClient {
  /** Cars in the area of interest, the own one included. */
  readonly entities = new EntityMap();
  /** Static chunks of the world, by index. */
  readonly chunks: ChunkCache;
  private readonly events = new Emitter<ClientEvents>();
  private readonly interpolation = new Interpolation();
  private readonly connection: Connection;
  private readonly moves: MoveSender;
  private readonly time: Time;
  private readonly viewDelayMs: number;
  private currentStatus: Status = "offline";
  private currentWelcome: WelcomePayload | undefined;
  private currentPlaced: PlacedPayload | undefined;

  constructor(options: ClientOptions) {
    const { url, token, viewDelayMs = 100, time = hostTime, random = Math.random } = options;
    const WebSocket = options.WebSocket ?? (globalThis.WebSocket as SocketConstructor | undefined);
    if (WebSocket === undefined) throw new TypeError("this host has no WebSocket: pass one as an option");
    this.time = time;
    this.viewDelayMs = viewDelayMs;
    this.connection = new Connection(
      { url, token, WebSocket, time, random },
      {
        connecting: () => this.become("connecting"),
        welcomed: (welcome) => this.welcomed(welcome),
        refreshed: (welcome) => this.events.emit("refreshed", welcome),
        tokenFailed: (error) => this.events.emit("token_failed", error),
        received: (message) => this.received(message),
        closed: (closed) => this.closed(closed),
      },
    );
    this.chunks = new ChunkCache(
      (want, have) => this.connection.sendNumbered("chunks", have.length > 0 ? { want, have } : { want }),
      time,
    );
    this.moves = new MoveSender((move) => this.connection.send("move", move), time);
  }

  get status(): Status {
    return this.currentStatus;
  }

  /** What the shard said of itself on this connection, or on the last one. */
  get welcome(): WelcomePayload | undefined {
    return this.currentWelcome;
  }

  /** The last time the server moved the own car; undefined outside the world. */
  get placed(): PlacedPayload | undefined {
    return this.currentPlaced;
  }

  /** The own slot: the entity that is the own car; undefined outside the world. */
  get slot(): number | undefined {
    return this.currentPlaced?.slot;
  }

  /** The shortest recent round trip, milliseconds; undefined before the first. */
  get rttMs(): number | undefined {
    return this.connection.clock.rttMs;
  }

  /** Server time now, Unix milliseconds; NaN before the first connection. */
  serverNowMs(): number {
    return this.connection.clock.at(this.time.now());
  }

  /** Calls `listener` for every such event; returns a function that ends it. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): () => void {
    return this.events.on(name, listener);
  }

  /** Connects, and stays connected by the rules of the close codes. `status` and `closed` tell what comes of it. */
  connect(): void {
    this.connection.connect();
  }

  /** Leaves for good. */
  close(): void {
    this.connection.close();
    this.chunks.closed();
    this.outOfWorld();
    this.become("offline");
  }

  /**
   * From the lobby into the world, or into its queue: then the `placed` event comes later. Call it on every `lobby`
   * event that the player should not stay in: also after a reconnect that came too late to get the car back.
   */
  enter(how: EnterPayload = {}): Promise<PlacedPayload | QueuedPayload> {
    return this.connection.request("enter", how);
  }

  /** Back to the lobby. */
  async leave(): Promise<void> {
    await this.connection.request("leave", {});
  }

  /**
   * Sends the own car from now on, 20 times a second while in the world. The game adopts the pose of every `placed`
   * event before its listener returns; what `source` gives after that is stamped with the new epoch.
   */
  drive(source: CarSource | undefined): void {
    this.moves.drive(source);
  }

  /** Any other message that has one answer. Rejects with RequestRefused, or ConnectionLost. */
  request<Type extends Exclude<keyof Answers, "auth" | "move" | "signal" | "chunks" | "ping">>(
    type: Type,
    payload: ClientPayloads[Type],
  ): Promise<ServerPayloads[Answers[Type]]> {
    return this.connection.request(type, payload);
  }

  /** A gesture to those near; false while there is no connection. */
  signal(kind: ClientPayloads["signal"]["kind"]): boolean {
    return this.connection.send("signal", { kind });
  }

  /** Poses of all cars to draw now, by slot; at another moment of server time if one is given. */
  sample(atServerMs: number = this.serverNowMs() - this.viewDelayMs): Map<number, Pose> {
    return this.interpolation.sample(atServerMs);
  }

  /** The pose of one car to draw now. */
  sampleOne(slot: number, atServerMs: number = this.serverNowMs() - this.viewDelayMs): Pose | undefined {
    return this.interpolation.sampleOne(slot, atServerMs);
  }

  private welcomed(welcome: WelcomePayload): void {
    this.currentWelcome = welcome;
    this.interpolation.setTickRate(welcome.tickHz);
    this.chunks.connected(welcome.world.hash);
    this.events.emit("welcome", welcome);
  }

  private received(message: ServerMessage): void {
    switch (message.type) {
      case "lobby":
        this.outOfWorld();
        this.become("lobby");
        break;
      case "queued":
        this.become("queued");
        break;
      case "placed":
        this.currentPlaced = message.payload;
        this.become("world");
        break;
      case "chunk":
        this.chunks.received(message.payload);
        break;
      case "chunks_same":
        this.chunks.same(message.payload.chunks);
        break;
      case "error":
        if (message.re !== undefined) this.chunks.refused(message.re, message.payload);
        break;
      case "snapshot":
        this.apply(message.payload);
        break;
    }
    this.events.emit(message.type, message.payload);
    if (message.type === "placed") this.moves.placed(message.payload); // after the game has adopted the pose
  }

  private apply(snapshot: SnapshotPayload): void {
    const changes = this.entities.apply(snapshot);
    this.interpolation.apply(snapshot.t, changes);
    for (const entity of changes.left) this.events.emit("entity_left", entity);
    for (const entity of changes.entered) this.events.emit("entity_entered", entity);
    const own = changes.told.find((entity) => entity.slot === this.slot)?.row;
    if (own !== undefined) this.events.emit("acknowledged", { seq: this.moves.acknowledged(own), row: own });
  }

  private closed(closed: Closed): void {
    this.chunks.disconnected();
    this.outOfWorld();
    this.become(closed.retryInMs === undefined ? "offline" : "waiting");
    this.events.emit("closed", closed);
  }

  /** What was known of the world was known of one stay on one connection. */
  private outOfWorld(): void {
    this.moves.stop();
    this.currentPlaced = undefined;
    this.interpolation.clear();
    for (const entity of this.entities.clear()) this.events.emit("entity_left", entity);
  }

  private become(status: Status): void {
    if (status === this.currentStatus) return;
    this.currentStatus = status;
    this.events.emit("status", status);
  }
}
