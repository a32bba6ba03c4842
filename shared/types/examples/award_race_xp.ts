/**
 * A Supabase Edge Function (Deno) that takes a race receipt and awards XP for it, once.
 *
 * The game client sends `race_result.receipt` here with the player's own access token:
 *
 *     await supabase.functions.invoke("award-race-xp", { body: { receipt } });
 *
 * The shard knows nothing of this function, and this function asks the shard nothing: the signature is the proof.
 * Secrets of the function (`supabase secrets set`): either RACE_RECEIPT_PUBLIC_KEY (the PEM of `openssl ec -in key.pem
 * -pubout`, for a shard with SHARD_RECEIPT_KEY), or RACE_RECEIPT_SECRET (equal to the shard's SHARD_RECEIPT_SECRET).
 * Prefer the public key: who can read it cannot sign. RACE_WORLDS lists the `welcome.world.hash` of worlds that count.
 *
 * The table and the function it calls, as a migration. `jti` names race, start and player, so a receipt that is sent
 * twice, or by two tabs at once, is awarded once: the primary key decides, in one transaction with the XP.
 *
 *     create table public.race_awards (
 *       jti text primary key,
 *       player uuid not null references auth.users (id) on delete cascade,
 *       race text not null, route text not null, place int not null, time_ms double precision not null,
 *       xp int not null, awarded_at timestamptz not null default now()
 *     );
 *     alter table public.race_awards enable row level security;
 *     create table public.player_xp (
 *       player uuid primary key references auth.users (id) on delete cascade, xp bigint not null default 0
 *     );
 *     alter table public.player_xp enable row level security;
 *     create function public.award_race(
 *       _jti text, _player uuid, _race text, _route text, _place int, _time_ms double precision, _xp int
 *     ) returns boolean language plpgsql security definer set search_path = '' as $$
 *     begin
 *       insert into public.race_awards (jti, player, race, route, place, time_ms, xp)
 *         values (_jti, _player, _race, _route, _place, _time_ms, _xp) on conflict (jti) do nothing;
 *       if not found then return false; end if;
 *       insert into public.player_xp (player, xp) values (_player, _xp)
 *         on conflict (player) do update set xp = public.player_xp.xp + excluded.xp;
 *       return true;
 *     end $$;
 *     revoke execute on function public.award_race from public, anon, authenticated;
 *     grant execute on function public.award_race to service_role;
 */

import { importSPKI, jwtVerify } from "npm:jose@6";
import { createClient } from "npm:@supabase/supabase-js@2";

/** The claims of a receipt; times are milliseconds from the start of the race. */
interface Receipt {
  readonly iss: "shard";
  readonly typ: "race_receipt";
  readonly sub: string;
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
  readonly race: string;
  readonly route: string;
  readonly world: string;
  readonly vehicle: string;
  readonly place: number;
  readonly of: number;
  readonly status: "finished" | "dnf" | "dsq" | "invalidated";
  readonly start_ms: number;
  readonly time_ms: number | null;
  readonly err_ms: number | null;
  readonly splits_ms: readonly number[];
  readonly penalty_ms: number;
  readonly flags: readonly string[];
}

const publicKey = Deno.env.get("RACE_RECEIPT_PUBLIC_KEY");
const secret = Deno.env.get("RACE_RECEIPT_SECRET");
const worlds = (Deno.env.get("RACE_WORLDS") ?? "").split(",").filter(Boolean);
/** One key and its one algorithm: the token never chooses. */
const algorithm = publicKey ? "ES256" : "HS256";
const key = publicKey ? await importSPKI(publicKey, "ES256") : new TextEncoder().encode(secret);
if (!publicKey && (secret ?? "").length < 32) throw new Error("set RACE_RECEIPT_PUBLIC_KEY or RACE_RECEIPT_SECRET");

const service = createClient(Deno.env.get("SUPABASE_URL")!, Deno.env.get("SUPABASE_SERVICE_ROLE_KEY")!, {
  auth: { persistSession: false },
});

/** What a finish is worth; yours to choose. */
function xpOf(receipt: Receipt): number {
  return 10 + Math.max(0, 5 * (receipt.of - receipt.place));
}

Deno.serve(async (request) => {
  const authorization = request.headers.get("Authorization") ?? "";
  const { data: caller } = await service.auth.getUser(authorization.replace(/^Bearer /, ""));
  if (!caller.user) return Response.json({ error: "sign in first" }, { status: 401 });

  const body = await request.json().catch(() => null);
  if (typeof body?.receipt !== "string") return Response.json({ error: "send { receipt }" }, { status: 400 });
  let receipt: Receipt;
  try {
    const { payload } = await jwtVerify(body.receipt, key, {
      algorithms: [algorithm],
      issuer: "shard",
      typ: "race-receipt+jwt",
      subject: caller.user.id, // nobody cashes another player's receipt
      requiredClaims: ["sub", "jti", "iat", "exp"],
      clockTolerance: 60,
    });
    receipt = payload as unknown as Receipt;
  } catch {
    return Response.json({ error: "the receipt is not valid" }, { status: 422 });
  }
  if (worlds.length > 0 && !worlds.includes(receipt.world)) {
    return Response.json({ error: "this world does not count" }, { status: 422 });
  }
  if (receipt.typ !== "race_receipt" || receipt.status !== "finished" || receipt.time_ms === null) {
    return Response.json({ awarded: false, xp: 0, reason: receipt.status });
  }

  const xp = xpOf(receipt);
  const { data: fresh, error } = await service.rpc("award_race", {
    _jti: receipt.jti,
    _player: receipt.sub,
    _race: receipt.race,
    _route: receipt.route,
    _place: receipt.place,
    _time_ms: receipt.time_ms,
    _xp: xp,
  });
  if (error) return Response.json({ error: "try again" }, { status: 503 }); // safe: it is awarded once
  return Response.json({ awarded: fresh, xp: fresh ? xp : 0 });
});
