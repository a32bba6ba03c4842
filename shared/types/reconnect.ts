import { CloseCode, RECONNECT, type Reconnect } from "./messages.js";

/** What to do about a closed connection. */
export type Verdict =
  { readonly retry: false } | { readonly retry: true; readonly delayMs: number; readonly freshToken: boolean };

/** First limit of the back-off for each rule, milliseconds. */
const FIRST_LIMIT_MS = { fresh_token: 500, soon: 500, spread: 2_000, later: 5_000 } as const;
const LIMIT_MAX_MS = 15_000;

/** Once a connection has held this long, failures before it are forgotten, milliseconds. */
const HELD_MS = 10_000;

/** Decides by close code whether, when and with what token to connect again. Knows nothing of sockets and timers. */
export class ReconnectPolicy {
  private failures = 0;
  private freshTokenTried = false;

  /** `random` gives numbers in [0, 1): it spreads those who were cut off together. */
  constructor(private readonly random: () => number) {}

  /**
   * A connection ended. `code` is the close code (1006 when there was none), `heldMs` how long it had been welcome
   * (0 if never), `retryAfterMs` what the last `error` asked for.
   */
  closed(code: number, heldMs: number, retryAfterMs = 0): Verdict {
    if (heldMs >= HELD_MS) this.reset();
    const rule = ruleOf(code);
    if (rule === "never" || (rule === "fresh_token" && this.freshTokenTried)) return { retry: false };
    if (rule === "fresh_token") this.freshTokenTried = true;
    const limitMs = Math.min(LIMIT_MAX_MS, FIRST_LIMIT_MS[rule] * 2 ** this.failures);
    this.failures += 1;
    return { retry: true, delayMs: retryAfterMs + this.random() * limitMs, freshToken: this.freshTokenTried };
  }

  /** Forgets past failures: the player asked for a connection. */
  reset(): void {
    this.failures = 0;
    this.freshTokenTried = false;
  }
}

/** The rule for a close code. Codes of ours that this version does not know mean `never`, all others are a bad line. */
function ruleOf(code: number): Reconnect {
  const known: Readonly<Record<number, Reconnect>> = RECONNECT;
  return known[code] ?? (code >= CloseCode.MALFORMED && code < 4500 ? "never" : "soon");
}
