// The four calls of a breaker for BullMQ workers in Node, over the scripts that every language shares.
// Copy this folder. Given an ioredis client, it needs no package of its own.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

const RATE_LIMITED = 429;
// Milliseconds for one command; a worker must not wait longer for its breaker.
const DEADLINE = 250;
const SCRIPTS = Object.fromEntries(["rate_limit_error", "success", "snapshot"].map((name) => [name, load(name)]));

// What a new breaker begins with; they are the defaults of `Breaker` in Python.
export const SETTINGS = {
  cooldown_ms: 60000,
  forget_after_ms: 600000,
  idle_ttl_ms: 2592000000,
  max_cooldown_ms: 3600000,
  min_workers: 1,
  mode: "enforce",
  pace_from: 0.1,
  probe_lease_ms: 30000,
  quota_pause_ms: 900000,
  recovery: "pace",
  threshold: 5,
};

function load(name) {
  const body = readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), "utf8");
  return { body, sha: createHash("sha1").update(body).digest("hex") };
}

/** The id under which one attempt of a job counts once, whoever reports it: `made` as in job.attemptsMade afterwards. */
export const attemptId = (job, made) => `${job.queueName}:${job.id}:${made}`;

/** Whether an error of an HTTP client or an SDK is a 429. */
export const isRateLimit = (error) =>
  [error?.status, error?.statusCode, error?.response?.status].includes(RATE_LIMITED);

/** See breaker.d.mts. */
export function createBreaker(redis, { prefix = "breaker", settings = {}, log } = {}) {
  // BullMQ's own connections wait for their server for ever.
  const client = redis.duplicate({ maxRetriesPerRequest: 1, commandTimeout: DEADLINE });
  client.on("error", () => {}); // each call says so itself
  const declared = JSON.stringify({ ...SETTINGS, ...settings });
  const who = `${hostname()}:${process.pid}`;
  const known = new Set();

  async function send(script, keys, args) {
    const call = [keys.length, ...keys, ...args];
    try {
      return await client.evalsha(script.sha, ...call);
    } catch (error) {
      if (!error.message.startsWith("NOSCRIPT")) throw error;
      return client.eval(script.body, ...call);
    }
  }

  async function ask(name, queue, own = [], id = undefined) {
    const token = randomBytes(16).toString("hex");
    const key = (part) => `${prefix}:{${queue}}:${part}`;
    const keys = ["failures", "pause", "state", "events"].map(key);
    if (name !== "snapshot") keys.push(key(`seen:${id ?? token}`));
    const channel = `${key("changes")}:${client.options.db ?? 0}`;
    const args = (declares) => [token, channel, who, declares, ...own];
    let reply = JSON.parse(await send(SCRIPTS[name], keys, args("")));
    if (reply.wanted) reply = JSON.parse(await send(SCRIPTS[name], keys, args(declared)));
    if (reply.incarnation && !known.has(reply.incarnation)) {
      await client.sadd(`${prefix}s`, queue);
      known.add(reply.incarnation);
    }
    for (const step of Object.values(reply.transitions ?? {})) {
      log?.warn({ breaker: queue, ...step }, `${queue}: ${step.from} -> ${step.to}`);
    }
    return reply;
  }

  /** A store that fails must not break a worker: the answer is then `otherwise`. */
  async function safely(question, otherwise) {
    try {
      return await question();
    } catch (error) {
      log?.error({ err: error }, "the breaker's store cannot be asked");
      return otherwise;
    }
  }

  return {
    recordQueueRateLimitError: (queue, { errorId, retryAfterMs = 0, kind = "rate_limit" } = {}) =>
      safely(async () => {
        const id = errorId ?? randomBytes(16).toString("hex");
        return status(queue, await ask("rate_limit_error", queue, [id, "", "", retryAfterMs, kind, 0], id));
      }, null),
    recordQueueSuccess: (queue) =>
      safely(async () => void (await ask("success", queue, ["", "", "", 1]))),
    getQueueCircuitStatus: (queue) =>
      safely(async () => status(queue, await ask("snapshot", queue)), null),
    isQueuePaused: (queue) =>
      safely(async () => (await client.exists(`${prefix}:{${queue}}:pause`)) === 1, false),
    close: async () => void client.disconnect(),
  };
}

function status(name, view) {
  return {
    name,
    state: view.state,
    isPaused: view.paused,
    consecutiveErrors: view.count,
    threshold: view.threshold ?? null,
    resumesInMs: view.resumes_in_ms ?? null,
    reason: view.reason ?? "",
    epoch: view.epoch,
    trips: view.trips,
    tripped: view.tripped ?? false,
    duplicate: view.duplicate ?? false,
  };
}
