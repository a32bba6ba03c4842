import { ServerClock, type Time } from "./clock.js";
import { decodeServer, encode } from "./codec.js";
import type {
  Answers,
  ClientMessage,
  ClientPayloads,
  ErrorPayload,
  ServerMessage,
  ServerPayloads,
  WelcomePayload,
} from "./messages.js";
import { ReconnectPolicy } from "./reconnect.js";
import { ConnectionLost, Requests } from "./requests.js";

/** The part of a WebSocket that is used; browsers, Node 22 and the `ws` package have it. */
export interface Socket {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number }) => void): void;
}

export type SocketConstructor = new (url: string) => Socket;

/** Gives the player's access token; `fresh` asks for a newly issued one, because the shard refused the last. */
export type TokenProvider = (fresh: boolean) => Promise<string>;

/** A connection ended. */
export interface Closed {
  /** The close code; 1006 when the line just broke. */
  readonly code: number;
  /** The `error` that came before it. */
  readonly error: ErrorPayload | undefined;
  /** When the next attempt comes, milliseconds from now; undefined: there will be none until `connect` is called. */
  readonly retryInMs: number | undefined;
}

/** Whom a connection tells what happens; called in the order of events. */
export interface ConnectionOwner {
  /** A new connection was accepted; its messages follow. */
  welcomed(welcome: WelcomePayload): void;
  /** The token was renewed on the live connection. */
  refreshed(welcome: WelcomePayload): void;
  /** The provider had no token, or the shard refused to renew with it; tried again later. */
  tokenFailed(error: unknown): void;
  /** Any message but `welcome` and `pong`. */
  received(message: ServerMessage): void;
  connecting(): void;
  closed(closed: Closed): void;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly token: TokenProvider;
  readonly WebSocket: SocketConstructor;
  readonly time: Time;
  readonly random: () => number;
}

/** The first pings come fast, so that the clock is good soon; within what the shard allows. Milliseconds. */
const FIRST_PINGS = 4;
const FIRST_PING_MS = 600;
const PING_MS = 5_000;

/** Nothing heard for this long, pongs included: the line is dead, whatever the socket says. Milliseconds. */
const SILENCE_MS = 12_000;

/** From the attempt to the welcome, milliseconds. */
const WELCOME_MS = 15_000;

/** Between attempts to renew a token, milliseconds. */
const REFRESH_AGAIN_MS = 10_000;

/** What the platform reports when a connection ends without a close code. */
const ABNORMAL = 1006;

/** One player's line to the shard: authenticates, keeps the token and the clock fresh, and comes back after a loss. */
export class Connection {
  readonly clock = new ServerClock();
  private readonly requests: Requests;
  private readonly policy: ReconnectPolicy;
  private socket: Socket | undefined;
  /** Own clock when the current connection was welcomed; undefined before. */
  private welcomedAtMs: number | undefined;
  private lastHeardMs = 0;
  private lastError: ErrorPayload | undefined;
  /** Grows with every attempt and every ending, so that what belongs to an earlier one is recognised. */
  private attempt = 0;
  private timers = new Map<"retry" | "welcome" | "ping" | "refresh", unknown>();

  /** Throws TypeError for a `url` that is none. */
  constructor(
    private readonly options: ConnectionOptions,
    private readonly owner: ConnectionOwner,
  ) {
    if (!/^wss?:$/.test(new URL(options.url).protocol)) throw new TypeError(`${options.url} is not a ws: or wss: URL`);
    this.requests = new Requests(options.time);
    this.policy = new ReconnectPolicy(options.random);
  }

  /** True from the welcome to the end of a connection. */
  get open(): boolean {
    return this.welcomedAtMs !== undefined;
  }

  /** Connects now, unless a connection is there or under way. Forgets earlier failures. */
  connect(): void {
    if (this.socket !== undefined || this.timers.has("welcome")) return;
    this.policy.reset();
    void this.begin(false);
  }

  /** Ends the connection and all attempts. */
  close(): void {
    const socket = this.socket;
    this.end();
    socket?.close(1000);
  }

  /** Sends a message on which nothing waits; false while there is no connection. */
  send<Type extends keyof ClientPayloads>(type: Type, payload: ClientPayloads[Type]): boolean {
    return this.transmit({ type, payload } as ClientMessage);
  }

  /** Sends a message with an `id` and returns that; undefined while there is no connection. */
  sendNumbered<Type extends keyof ClientPayloads>(type: Type, payload: ClientPayloads[Type]): number | undefined {
    const id = this.requests.nextId();
    return this.transmit({ type, payload, id } as ClientMessage) ? id : undefined;
  }

  /** Sends a message and gives what its direct reply says. Rejects with RequestRefused or ConnectionLost. */
  async request<Type extends keyof ClientPayloads>(
    type: Type,
    payload: ClientPayloads[Type],
  ): Promise<ServerPayloads[Answers[Type]]> {
    const id = this.sendNumbered(type, payload);
    if (id === undefined) throw new ConnectionLost("there is no connection");
    return (await this.requests.reply(id)).payload as ServerPayloads[Answers[Type]];
  }

  private transmit(message: ClientMessage): boolean {
    if (!this.open) return false;
    this.socket?.send(encode(message));
    return true;
  }

  /** One attempt: token first, since the shard waits only 5 s for it, then the socket. */
  private async begin(fresh: boolean): Promise<void> {
    const attempt = ++this.attempt;
    this.stop("retry");
    this.owner.connecting();
    this.start("welcome", WELCOME_MS, () => this.lost(ABNORMAL));
    let token: string;
    try {
      token = await this.options.token(fresh);
    } catch (error) {
      if (attempt !== this.attempt) return;
      this.owner.tokenFailed(error);
      this.lost(ABNORMAL);
      return;
    }
    if (attempt !== this.attempt) return;
    const socket = new this.options.WebSocket(this.options.url);
    this.socket = socket;
    let sentMs = 0;
    socket.addEventListener("open", () => {
      if (attempt !== this.attempt) return;
      sentMs = this.options.time.now();
      socket.send(encode({ type: "auth", payload: { token } }));
    });
    socket.addEventListener("message", ({ data }) => {
      if (attempt === this.attempt) this.heard(data, sentMs);
    });
    socket.addEventListener("error", () => undefined); // a `close` follows and says more
    socket.addEventListener("close", ({ code }) => {
      if (attempt === this.attempt) this.lost(code);
    });
  }

  private heard(data: unknown, authSentMs: number): void {
    const nowMs = this.options.time.now();
    this.lastHeardMs = nowMs;
    const message = decodeServer(data);
    if (message === null) return;
    if (message.type === "welcome") this.welcome(message.payload, authSentMs, nowMs);
    else if (message.type === "pong") this.clock.add(message.payload.t, nowMs, message.payload.serverTimeMs);
    else {
      if (message.type === "error") this.lastError = message.payload;
      if (message.type === "notice" && message.payload.code === "auth_expiring") void this.refresh();
      this.owner.received(message);
    }
    this.requests.settle(message);
  }

  private welcome(welcome: WelcomePayload, authSentMs: number, nowMs: number): void {
    if (this.open) {
      this.owner.refreshed(welcome);
      return;
    }
    this.stop("welcome");
    this.welcomedAtMs = nowMs;
    this.lastError = undefined;
    this.clock.reset();
    this.clock.add(authSentMs, nowMs, welcome.serverTimeMs);
    this.owner.welcomed(welcome);
    this.ping(0);
  }

  private ping(sent: number): void {
    const nowMs = this.options.time.now();
    if (nowMs - this.lastHeardMs > SILENCE_MS) {
      this.lost(ABNORMAL);
      return;
    }
    this.send("ping", { t: nowMs });
    this.start("ping", sent < FIRST_PINGS ? FIRST_PING_MS : PING_MS, () => this.ping(sent + 1));
  }

  /** Renews the token on the live connection; tries again until that works or the shard hangs up. */
  private async refresh(): Promise<void> {
    const attempt = this.attempt;
    this.stop("refresh");
    try {
      const token = await this.options.token(true);
      if (attempt === this.attempt) await this.request("auth", { token });
    } catch (error) {
      if (attempt !== this.attempt) return;
      this.owner.tokenFailed(error);
      this.start("refresh", REFRESH_AGAIN_MS, () => void this.refresh());
    }
  }

  /** The connection ended, or could not be made. */
  private lost(code: number): void {
    const nowMs = this.options.time.now();
    const heldMs = this.welcomedAtMs === undefined ? 0 : nowMs - this.welcomedAtMs;
    const error = this.lastError;
    const socket = this.socket;
    this.end();
    socket?.close();
    const verdict = this.policy.closed(code, heldMs, error?.retryAfterMs);
    if (verdict.retry) this.start("retry", verdict.delayMs, () => void this.begin(verdict.freshToken));
    this.owner.closed({ code, error, retryInMs: verdict.retry ? verdict.delayMs : undefined });
  }

  private end(): void {
    this.attempt += 1;
    for (const name of [...this.timers.keys()]) this.stop(name);
    this.socket = undefined;
    this.welcomedAtMs = undefined;
    this.lastError = undefined;
    this.requests.abandon();
  }

  private start(name: "retry" | "welcome" | "ping" | "refresh", delayMs: number, run: () => void): void {
    this.stop(name);
    const timer = this.options.time.start(() => {
      this.timers.delete(name);
      run();
    }, delayMs);
    this.timers.set(name, timer);
  }

  private stop(name: "retry" | "welcome" | "ping" | "refresh"): void {
    this.options.time.stop(this.timers.get(name));
    this.timers.delete(name);
  }
}
