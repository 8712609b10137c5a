// A stock BullMQ worker: it calls the upstream, and throws what an SDK throws for a 429.
// It knows nothing of breakers.
const { Worker } = await import(process.env.BULLMQ ?? "bullmq");

const { hostname: host, port, pathname } = new URL(process.env.BROKER);
const connection = { host, port: Number(port), db: Number(pathname.slice(1)), maxRetriesPerRequest: null };
const run = String(process.pid);

for (const queue of ["content", "other"]) {
  const worker = new Worker(
    queue,
    async (job) => {
      const answer = await fetch(`${process.env.UPSTREAM}/${queue}?job=${job.data.job}&run=${run}`);
      if (answer.ok) return;
      const after = answer.headers.get("retry-after");
      throw new Error(`${answer.status} Too Many Requests` + (after ? `, retry after ${after} s` : ""));
    },
    { connection, concurrency: 2 },
  );
  worker.on("error", () => {}); // the broker may be away
}
