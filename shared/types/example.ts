/** What a game does with the client, in brief. Compiled with the rest, so that it stays true. */

import { ShardClient, type CarState, type Pose } from "./index.js";

/** The part of a supabase-js client that is used: `createClient(url, key)` fits. */
interface Supabase {
  readonly auth: {
    getSession(): Promise<{ data: { session: { access_token: string } | null } }>;
    refreshSession(): Promise<{ data: { session: { access_token: string } | null } }>;
  };
}

/** A game's own parts: the car that it simulates, and what draws the others. */
interface Game {
  car: CarState;
  draw(slot: number, pose: Pose): void;
  forget(slot: number): void;
}

export function play(supabase: Supabase, game: Game): ShardClient {
  const client = new ShardClient({
    url: "wss://shard.example.org/ws",
    token: async (fresh) => {
      const { data } = await (fresh ? supabase.auth.refreshSession() : supabase.auth.getSession());
      if (data.session === null) throw new Error("not signed in");
      return data.session.access_token;
    },
  });
  client.on("lobby", ({ reason }) => {
    if (reason === "welcome") client.enter({ name: "Juno" }).catch(console.warn);
  });
  client.on("placed", ({ x, z, yaw, vx = 0, vz = 0 }) => (game.car = { x, z, yaw, vx, vz }));
  client.on("entity_left", ({ slot }) => game.forget(slot));
  client.on("closed", ({ code, retryInMs }) => console.log(`closed with ${code}; again in ${retryInMs} ms`));
  client.drive(() => game.car);
  client.connect();
  const frame = () => {
    for (const [slot, pose] of client.sample()) if (slot !== client.slot) game.draw(slot, pose);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  return client;
}
