// How the tests' programs reach BullMQ: major version, URL, key prefix; in a cluster `cluster:URL`.
// On PostgreSQL the prefix is the schema, which whoever comes first creates.
const IORedis = require("ioredis");

const LIBRARIES = { 5: "bullmq5", 6: "bullmq6" };

function library(major) {
  return require(LIBRARIES[major]);
}

function connection(url) {
  const options = { maxRetriesPerRequest: null };
  if (!url.startsWith("cluster:")) return new IORedis(url, options);
  return new IORedis.Cluster([url.slice("cluster:".length)], { redisOptions: options });
}

// The options of a queue or a worker; on PostgreSQL the connection is made by the backend.
function target(major, url, prefix) {
  if (url.startsWith("postgresql:")) {
    const { createPostgresBackend } = library(major);
    const connection = { connectionString: url, schema: prefix, migrate: true };
    return { options: { connection }, backend: createPostgresBackend, close: async () => {} };
  }
  const client = connection(url);
  return { options: { connection: client, prefix }, close: async () => client.quit() };
}

module.exports = { library, target };
