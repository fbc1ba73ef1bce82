"use strict";

const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");

/** A store on a connection that is open. */
exports.open = async (url) => {
  const client = createClient({ url });
  client.on("error", (error) => console.error(error));
  await client.connect();
  return new RedisStore({ client });
};
