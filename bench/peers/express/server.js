// Express with express-session and connect-redis, as their documentation has it: `node server.js URL`. Each request that brings a
// session and leaves it as it is has its time to live begin anew (`touch`).

import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';

const client = createClient({ url: process.argv[2] });
client.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
await client.connect();

const app = express();
app.use(
  session({
    store: new RedisStore({ client, prefix: 'express:', ttl: 1800 }),
    secret: 'a secret of no worth, for a benchmark on loopback',
    resave: false,
    saveUninitialized: false,
  }),
);

app.post('/login', express.text(), (request, response, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = request.body;
    response.json({ ok: true });
  });
});

app.get('/profile', (request, response) => {
  if (!request.session.user) return response.status(401).json({ error: 'Not authenticated' });
  response.json({ userId: request.session.user });
});

app.get('/views', (request, response) => {
  request.session.views = (request.session.views ?? 0) + 1;
  response.json({ views: request.session.views });
});

app.get('/none', (request, response) => {
  response.type('text').send('none');
});

const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
