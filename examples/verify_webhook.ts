// Receive OpenRelay webhooks and refuse those that are not genuine.
//
// WEBHOOK_SECRET=whsec_… node verify_webhook.ts [PORT]

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

/** Whether OpenRelay signed this very body. `signature` is the header X-VectorLay-Signature. */
export function verify(secret: string, body: Buffer, signature: string): boolean {
  const key = createHash("sha256").update(secret).digest("hex");
  const expected = Buffer.from("sha256=" + createHmac("sha256", key).update(body).digest("hex"));
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    // Verify the bytes as they came: JSON that was parsed and written again has another signature.
    const body = Buffer.concat(chunks);
    const signature = String(request.headers["x-vectorlay-signature"] ?? "");
    const genuine = verify(process.env.WEBHOOK_SECRET ?? "", body, signature);
    response.writeHead(genuine ? 204 : 401).end();
    if (genuine) {
      const event = JSON.parse(body.toString());
      console.log(event.id, event.type, event.data);
    }
  });
});

server.listen(Number(process.argv[2] ?? 9000), "127.0.0.1", () => {
  const address = server.address();
  if (address && typeof address === "object") console.log(`listening on http://127.0.0.1:${address.port}`);
});
