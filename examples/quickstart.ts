// From an API key to a running VM: who am I, create it, poll until it runs, stop it.
//
// OPENRELAY_API_KEY=vl_… node quickstart.ts                       start a VM and stop it again
// OPENRELAY_API_KEY=vl_… node quickstart.ts list [vms|clusters]   every VM, or cluster, page by page

import { setTimeout as sleep } from "node:timers/promises";

const BASE = process.env.OPENRELAY_BASE_URL ?? "https://api.openrelay.inc";
const TRIES = 5;

/**
 * The answer to a call. A GET that meets 429 or 5xx is made up to five times: after as many seconds as Retry-After
 * says, else after 1, 2, 4, 8, and up to half as many more, so that clients do not come back all at once. A call
 * that changes something is not repeated: it may have been carried out, and its answer lost.
 */
async function call(method: string, path: string, body?: unknown): Promise<any> {
  for (let tries = 1; ; tries++) {
    const response = await fetch(BASE + path, {
      method,
      headers: { Authorization: `Bearer ${process.env.OPENRELAY_API_KEY}`, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
    if (response.ok) return response.json();
    const passing = response.status === 429 || response.status >= 500;
    if (method !== "GET" || !passing || tries === TRIES) {
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    }
    const seconds = Number(response.headers.get("retry-after") ?? 2 ** (tries - 1));
    await sleep(1000 * seconds * (1 + Math.random() / 2));
  }
}

/** The items of a list. A cursor is passed on as it came; without one it was the last page. */
async function* pages(path: string): AsyncGenerator<any> {
  let cursor = "";
  do {
    const page = await call("GET", `${path}?limit=100&cursor=${cursor}`);
    yield* page.items;
    cursor = page.nextCursor ?? "";
  } while (cursor);
}

async function start(org: string): Promise<void> {
  let vm = await call("POST", `/v1/orgs/${org}/vms/create`, {
    name: "quickstart",
    gpuModelId: "rtx-4090",
    gpuCount: 1,
  });
  console.log(vm.status);
  while (vm.status !== "running") {
    if (!["pending", "deploying"].includes(vm.status)) throw new Error(vm.statusReason);
    await sleep(5000);
    vm = await call("GET", `/v1/vms/${vm.id}`);
    console.log(vm.status);
  }
  console.log((await call("POST", `/v1/vms/${vm.id}/stop`)).status);
}

const [what, list = "vms"] = process.argv.slice(2);
const me = await call("GET", "/v1/me");
const org = me.memberships[0].organizationId;
if (what === "list") {
  for await (const item of pages(`/v1/orgs/${org}/${list}`)) console.log(item.name, item.status);
} else {
  await start(org);
}
