// The Express that Jackline shares sessions with in tests: the routes of the reference system, as an Express of its own would
// have them, and below them routes by which a test looks inside. Its one argument is the module that opens the store; the rest
// stands in the environment. Once it listens, it prints its port. It ends when its standard input does, so that no test leaves
// it behind.
"use strict";

const crypto = require("node:crypto");
const path = require("node:path");
const express = require("express");
const session = require("express-session");
const helmet = require("helmet");

const store = require(path.resolve(process.argv[2]));
const settings = process.env;
const cookieName = settings.COOKIE_NAME || "connect.sid";
const absoluteMs = Number(settings.ABSOLUTE_MS || 8 * 60 * 60 * 1000);

async function main() {
  const app = express();
  app.use(helmet());
  app.use(express.json({ limit: "1mb" }));
  signals(app);
  app.use(
    session({
      store: await store.open(settings.REDIS_URL),
      name: cookieName,
      secret: settings.SESSION_SECRETS.split(","),
      genid: sessionId,
      resave: settings.RESAVE === "true",
      rolling: settings.ROLLING !== "false",
      saveUninitialized: false,
      cookie: {
        httpOnly: true,
        sameSite: "lax",
        maxAge: Number(settings.MAX_AGE_MS || 30 * 60 * 1000),
      },
    }),
  );
  app.use(endOldLogins);
  routes(app);
  windows(app);
  app.use((error, _request, response, _next) => {
    console.error(error);
    response.status(500).json({ error: error.message });
  });
  const server = app.listen(Number(settings.PORT || 0), "127.0.0.1", (error) => {
    if (error) throw error;
    console.log(server.address().port);
  });
  // Longer than a test leaves a connection idle: one that is closed while a request is on its way fails for no reason.
  server.keepAliveTimeout = 120_000;
  process.stdin.resume().on("end", () => process.exit());
}

/** As express-session makes them, unless the request brings one of its own choice. */
function sessionId(request) {
  const chosen = request.get("x-test-sid");
  return chosen === undefined ? crypto.randomBytes(24).toString("base64url") : decodeURIComponent(chosen);
}

function endOldLogins(request, response, next) {
  const { userId, loginAt } = request.session;
  if (!userId || !loginAt || Date.now() - new Date(loginAt).getTime() <= absoluteMs) return next();
  request.session.destroy((error) => {
    if (error) return next(error);
    response.clearCookie(cookieName).status(401).json({ error: "Session expired" });
  });
}

function needsLogin(request, response, next) {
  if (request.session.userId) return next();
  response.status(401).json({ error: "Not authenticated" });
}

function needsCsrfToken(request, response, next) {
  const shown = Buffer.from(request.get("x-csrf-token") || "");
  const expected = Buffer.from(request.session.csrfToken || "");
  if (expected.length > 0 && shown.length === expected.length && crypto.timingSafeEqual(shown, expected)) return next();
  response.status(403).json({ error: "Invalid CSRF token" });
}

/** What Jackline's server answers to as well. */
function routes(app) {
  app.get("/", (_request, response) => {
    response.send("Server is running.");
  });

  app.get("/views", (request, response) => {
    request.session.views = (request.session.views || 0) + 1;
    response.json({ views: request.session.views });
  });

  app.get("/csrf-token", (request, response) => {
    request.session.csrfToken ||= crypto.randomBytes(32).toString("hex");
    response.json({ csrfToken: request.session.csrfToken });
  });

  app.post("/login", (request, response, next) => {
    const { username, password } = request.body;
    if (username !== "alice" || password !== "correct-horse") {
      return response.status(401).json({ error: "Invalid credentials" });
    }
    request.session.regenerate((error) => {
      if (error) return next(error);
      const loginAt = new Date().toISOString();
      Object.assign(request.session, { userId: "user-1001", username, loginAt });
      response.json({ ok: true, user: username });
    });
  });

  app.get("/profile", needsLogin, (request, response) => {
    const { userId, username } = request.session;
    response.json({ userId, username });
  });

  app.post("/logout", (request, response, next) => {
    request.session.destroy((error) => {
      if (error) return next(error);
      response.clearCookie(cookieName).json({ ok: true });
    });
  });

  app.get("/session/data", (request, response) => {
    response.json(data(request.session));
  });

  // Of RFC 7396 only the first level: nothing here patches an object that is there.
  app.patch("/session/data", needsCsrfToken, (request, response) => {
    for (const [name, value] of Object.entries(request.body)) {
      if (value === null) delete request.session[name];
      else request.session[name] = value;
    }
    response.json(data(request.session));
  });
}

function data(session) {
  const { cookie, jackline, userId, username, loginAt, role, ...members } = session;
  return members;
}

/** By which a test looks inside, and does what Express lets any handler do. */
function windows(app) {
  app.get("/test/session", (request, response) => {
    response.json({ id: request.sessionID, session: request.session });
  });

  app.put("/test/members", (request, response) => {
    Object.assign(request.session, request.body);
    response.json({ ok: true });
  });

  app.post("/test/regenerate", (request, response, next) => {
    request.session.regenerate((error) => {
      if (error) return next(error);
      Object.assign(request.session, request.body);
      response.json({ ok: true });
    });
  });

  // Has its session, waits to be released, and then writes.
  app.put("/test/hold/:name", async (request, response) => {
    const hold = holdCalled(request.params.name);
    hold.begin();
    await hold.released;
    Object.assign(request.session, request.body);
    response.json({ ok: true });
  });
}

const holds = new Map();

function holdCalled(name) {
  if (!holds.has(name)) {
    const hold = {};
    hold.begun = new Promise((resolve) => (hold.begin = resolve));
    hold.released = new Promise((resolve) => (hold.release = resolve));
    holds.set(name, hold);
  }
  return holds.get(name);
}

/** Before the sessions: waits until a request is held, and releases it. */
function signals(app) {
  app.get("/test/held/:name", async (request, response) => {
    await holdCalled(request.params.name).begun;
    response.json({ ok: true });
  });

  app.post("/test/release/:name", (request, response) => {
    holdCalled(request.params.name).release();
    response.json({ ok: true });
  });
}

main();
