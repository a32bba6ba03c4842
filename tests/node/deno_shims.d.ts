// What the example functions use of Deno and of packages that only Deno fetches: enough for the compiler.
declare const Deno: {
  env: { get(name: string): string | undefined };
  serve(handler: (request: Request) => Response | Promise<Response>): void;
};

declare module "npm:jose@6" {
  export type Key = object;
  export function importSPKI(pem: string, alg: string): Promise<Key>;
  export function jwtVerify(
    token: string,
    key: Key | Uint8Array,
    options: {
      algorithms: string[];
      issuer?: string;
      typ?: string;
      subject?: string;
      requiredClaims?: string[];
      clockTolerance?: number;
    },
  ): Promise<{ payload: Record<string, unknown> & { jti?: string; sub?: string } }>;
}

declare module "npm:@supabase/supabase-js@2" {
  interface Failure {
    message: string;
  }
  export function createClient(url: string, key: string, options?: object): {
    auth: { getUser(token: string): Promise<{ data: { user: { id: string } | null }; error: Failure | null }> };
    rpc(name: string, args: object): Promise<{ data: unknown; error: Failure | null }>;
  };
}
