// bull-board over BullMQ's queues, as its manual has it: `server.cjs PORT REDIS_URL QUEUE...`.
const express = require("express");
const IORedis = require("ioredis");
const { Queue } = require("bullmq");
const { createBullBoard } = require("@bull-board/api");
const { BullMQAdapter } = require("@bull-board/api/bullMQAdapter");
const { ExpressAdapter } = require("@bull-board/express");

const [port, url, ...names] = process.argv.slice(2);
const connection = new IORedis(url, { maxRetriesPerRequest: null });
const serverAdapter = new ExpressAdapter();
createBullBoard({
  queues: names.map((name) => new BullMQAdapter(new Queue(name, { connection }))),
  serverAdapter,
});
express().use(serverAdapter.getRouter()).listen(Number(port), "127.0.0.1");
