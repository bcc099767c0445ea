// Calls BullMQ's queues as a program would: one JSON line per request on stdin, one per answer.
// Request: {major, url, prefix, queue, call, args}. Calls are the methods of Queue, and of its jobs
// with `job`; `addBulk` answers with ids, `flow` adds a flow, `close` forgets all connections.
const readline = require("node:readline");
const { library, target } = require("./connect.cjs");

const open = new Map();

function queueOf({ major, url, prefix, queue }) {
  const key = JSON.stringify([major, url, prefix, queue]);
  if (!open.has(key)) {
    const { options, backend, close } = target(major, url, prefix);
    const opened = new (library(major).Queue)(queue, options, backend);
    opened.on("error", () => {});
    open.set(key, { queue: opened, close });
  }
  return open.get(key).queue;
}

async function closeAll() {
  for (const { queue, close } of open.values()) {
    await queue.close();
    await close();
  }
  open.clear();
}

async function addFlow({ major, url, prefix, args }) {
  const { options, backend, close } = target(major, url, prefix);
  const producer = new (library(major).FlowProducer)(options, backend);
  const tree = await producer.add(args[0]);
  await producer.close();
  await close();
  return { id: tree.job.id, children: (tree.children || []).map((child) => child.job.id) };
}

async function perform(request) {
  if (request.call === "close") return closeAll();
  if (request.call === "flow") return addFlow(request);
  const queue = queueOf(request);
  await queue.waitUntilReady();
  if (request.job) {
    const job = await queue.getJob(request.job);
    return (await job[request.call](...request.args)) ?? null;
  }
  const answer = await queue[request.call](...request.args);
  if (request.call === "add") return answer.id;
  if (request.call === "addBulk") return answer.map((job) => job.id);
  return answer ?? null;
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      answer = { answer: await perform(JSON.parse(line)) };
    } catch (error) {
      answer = { error: String(error && error.message) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  process.exit(0); // the server may be gone already, so nobody says goodbye
}

main();
