"use strict";

const { default: RedisStore } = require("connect-redis");
const { Redis } = require("ioredis");

/** A store on a connection that is open. */
exports.open = async (url) => {
  const client = new Redis(url, { lazyConnect: true });
  client.on("error", (error) => console.error(error));
  await client.connect();
  return new RedisStore({ client });
};
