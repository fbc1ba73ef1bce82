-- Users, in a schema of their own. All times are milliseconds since 1970; they come from the web servers. `jackline.` is replaced
-- by the schema in use.

CREATE TABLE jackline.users (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    username text NOT NULL,
    -- The name in lower case as Rust makes it, which no collation changes.
    username_key text COLLATE "C" NOT NULL UNIQUE,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('user', 'admin')),
    disabled boolean NOT NULL,
    demo boolean NOT NULL,
    created_ms bigint NOT NULL,
    password_changed_ms bigint NOT NULL
);
