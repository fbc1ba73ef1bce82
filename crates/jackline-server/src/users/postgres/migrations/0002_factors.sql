-- Second factors. All times are milliseconds since 1970; they come from the web servers.

CREATE TABLE jackline.factors (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES jackline.users (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('totp', 'passkey', 'recovery')),
    name text NOT NULL,
    data text NOT NULL,
    version bigint NOT NULL,
    created_ms bigint NOT NULL,
    last_used_ms bigint
);

CREATE INDEX factors_user_id ON jackline.factors (user_id);
