// A worker process: `worker.cjs MAJOR URL PREFIX OPTIONS DIRECTORY QUEUE...`, steered as
// `contract/fleet.py` says. OPTIONS are those of BullMQ's Worker, as JSON. Until SIGTERM.
const fs = require("node:fs");
const path = require("node:path");
const { library, target } = require("./connect.cjs");

const [major, url, prefix, given, directory, ...names] = process.argv.slice(2);

class ConnectionError extends Error {}
ConnectionError.prototype.name = "ConnectionError";

const exists = (name) => fs.existsSync(path.join(directory, name));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function act(job) {
  // One write of a short line: appends of several processes do not mix.
  const attempt = job.attemptsMade + 1;
  const run = { job_id: job.id, attempt };
  fs.appendFileSync(path.join(directory, "runs.jsonl"), JSON.stringify(run) + "\n");
  if (job.attemptsStarted !== undefined && job.attemptsStarted !== attempt) {
    throw new Error(`attempt ${attempt} was start ${job.attemptsStarted}`);
  }
  const outcome = job.data && job.data.outcome;
  if (outcome === "fail" && !exists("healed")) {
    throw new ConnectionError("421 4.7.0 mx1.example.com: too many connections");
  }
  while (outcome === "hold" && !exists("released")) await pause(10);
  return { sent: true };
}

const opened = names.map((name) => {
  const { options, backend, close } = target(Number(major), url, prefix);
  const all = { ...options, drainDelay: 1, ...JSON.parse(given) };
  const worker = new (library(Number(major)).Worker)(name, act, all, backend);
  worker.on("error", (error) => process.stderr.write(`${error.stack}\n`));
  return { worker, close };
});

process.on("SIGTERM", async () => {
  await Promise.all(opened.map(({ worker }) => worker.close()));
  await Promise.all(opened.map(({ close }) => close()));
  process.exit(0);
});
