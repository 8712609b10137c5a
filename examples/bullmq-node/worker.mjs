// A BullMQ worker that reports what its upstream answers at once, in its catch block and again in the
// `failed` event; each attempt counts once. `breaker bridge bullmq content` pauses and resumes the queue.
import { Worker } from "bullmq";
import { Redis } from "ioredis";
import pino from "pino";
import { attemptId, createBreaker, isRateLimit } from "./breaker.mjs";

const log = pino();
const broker = new Redis(process.env.BROKER ?? "redis://localhost:6379/0", { maxRetriesPerRequest: null });
const store = new Redis(process.env.BREAKER_URL ?? "redis://localhost:6379/0");
const { recordQueueRateLimitError, recordQueueSuccess, getQueueCircuitStatus } = createBreaker(store, { log });

async function handle(job) {
  try {
    const answer = await fetch(`${process.env.UPSTREAM}/content?job=${job.data.job}&run=${process.pid}`);
    if (!answer.ok) {
      const error = new Error(`Request failed with status code ${answer.status}`);
      throw Object.assign(error, { status: answer.status, retryAfter: Number(answer.headers.get("retry-after")) });
    }
    await recordQueueSuccess("content");
  } catch (error) {
    if (isRateLimit(error)) await report(job, error, job.attemptsMade + 1);
    throw error;
  }
}

function report(job, error, attemptsMade) {
  const retryAfterMs = Math.round(1000 * (error.retryAfter || 0));
  return recordQueueRateLimitError("content", { errorId: attemptId(job, attemptsMade), retryAfterMs });
}

const worker = new Worker("content", handle, { connection: broker, concurrency: 2 });
worker.on("failed", async (job, error) => {
  if (job && isRateLimit(error)) await report(job, error, job.attemptsMade);
  log.warn({ job: job?.id, status: await getQueueCircuitStatus("content") }, error.message);
});
worker.on("error", (error) => log.error({ err: error }, "the worker's broker"));
