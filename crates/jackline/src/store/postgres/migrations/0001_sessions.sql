-- Tables, and the steps of the store contract as functions. A call is one statement and so one transaction: it happens whole
-- or not at all, and needs one round trip.
--
-- Isolation is READ COMMITTED: inside a volatile function every statement sees what was committed before that statement
-- began, so what is read after a lock was taken is what the holder before left. Rows are locked before they are decided on.
-- The order of locks, which is what makes deadlock impossible between these functions:
--   1. the advisory locks of buckets, by `announce`, which share them, and by `load`, which waits for none;
--   2. the advisory lock of one owner, by `admit` and `end_all`;
--   3. rows of sessions; whoever locks more than one takes them in the order of `id`, which never changes, where `key` does;
--   4. one row of `traces`, last of all.
-- `reclaim` skips what is locked, and so waits for nobody.
--
-- All times are milliseconds since 1970; they come from the web servers. `jackline.` is replaced by the schema in use.

-- One row is one session from its creation to its end: rotation updates the key in place, so a statement that waits for a
-- row which is being rotated finds it under its new key, and revocation cannot miss it.
--
-- Data is two arrays, the members' names as JSON strings (as serde_json spells them, so that equal names are equal text) and
-- their values as JSON text. Not `jsonb`, which reorders members and rewrites numbers; and not `json`, since taking a name
-- out of it fails on \u0000 and respells the others. So a value that nobody changes stays the bytes that it was, and the
-- server never parses one.
CREATE TABLE jackline.sessions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    -- The bucket, big-endian, and the digest: sorts as `SessionKey` does.
    key bytea NOT NULL PRIMARY KEY,
    owner text COLLATE "C",
    started bigint NOT NULL,
    seen bigint NOT NULL,
    idle bigint NOT NULL,
    ends bigint NOT NULL,
    version bigint NOT NULL,
    idle_deadline bigint NOT NULL GENERATED ALWAYS AS (least(seen + idle, 999999999999999)) STORED,
    -- The deadline rounded up to whole steps of a sixth of the idle limit, of five minutes at most. It is indexed, and an
    -- update that leaves every indexed column alone touches no index (a "heap-only" one). Indexing the deadline itself would
    -- make each renewal write to all three indexes; so does now one in several. The price: a record that has run out is
    -- dead at once, but may lie there for up to five minutes longer.
    reclaim_after bigint NOT NULL GENERATED ALWAYS AS (
        (least(seen + idle, 999999999999999) / greatest(least(idle / 6, 300000), 1) + 1)
        * greatest(least(idle / 6, 300000), 1)
    ) STORED,
    meta text NOT NULL,
    member_names text[] COLLATE "C" NOT NULL,
    member_values text[] COLLATE "C" NOT NULL,
    CHECK (cardinality(member_names) = cardinality(member_values))
) WITH (
    -- Room on each page for the new version of a row: without it an update cannot be a heap-only one.
    fillfactor = 75,
    -- Sessions come and go: vacuum after a twentieth has changed, not after a fifth.
    autovacuum_vacuum_scale_factor = 0.05
);

CREATE INDEX sessions_of_owner ON jackline.sessions (owner, started, key) WHERE owner IS NOT NULL;
CREATE INDEX sessions_to_reclaim ON jackline.sessions (reclaim_after);

-- Who was revoked, and when, for an hour.
CREATE TABLE jackline.owners (
    owner text COLLATE "C" NOT NULL PRIMARY KEY,
    epoch bigint NOT NULL,
    set_at bigint NOT NULL
);

-- What became of keys that have no session any more, and until when that is remembered. Written in the step in which the key goes, so
-- whoever finds no session and looks here afterwards finds the trace.
CREATE TABLE jackline.traces (
    key bytea NOT NULL PRIMARY KEY,
    weight smallint NOT NULL,
    until bigint NOT NULL
);
CREATE INDEX traces_to_reclaim ON jackline.traces (until);

-- The near-caches that hear of changes. What runs out here was left by one that went without a word.
CREATE TABLE jackline.listeners (
    id bigint NOT NULL PRIMARY KEY,
    renewed bigint NOT NULL
);

-- Leaves a trace, unless one is there that weighs more. Returns the weight of what is there from now on.
CREATE FUNCTION jackline.note(p_key bytea, p_weight smallint, p_now bigint, p_until bigint) RETURNS smallint
LANGUAGE sql VOLATILE AS $$
    INSERT INTO jackline.traces AS t (key, weight, until) VALUES (p_key, p_weight, p_until)
    ON CONFLICT (key) DO UPDATE SET
        weight = CASE WHEN t.until > p_now THEN greatest(t.weight, p_weight) ELSE p_weight END,
        until = CASE WHEN t.until > p_now AND t.weight > p_weight THEN t.until ELSE p_until END
    RETURNING weight;
$$;

-- What is left of a key that has no session: `absent`, or a weight.
CREATE FUNCTION jackline.trace(p_key bytea, p_now bigint) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT coalesce((SELECT t.weight::text FROM jackline.traces AS t WHERE t.key = p_key AND t.until > p_now), 'absent');
$$;

-- The trace of a key from which a session has gone to another one.
CREATE FUNCTION jackline.note_replaced(p_key bytea, p_now bigint, p_until bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT jackline.note(p_key, 3::smallint, p_now, p_until);
$$;

-- One owner's logins and revocations, one after the other. An advisory lock and not a row, since most owners never have a
-- row in `owners`. Two owners whose hashes meet wait for each other, and that is all.
CREATE FUNCTION jackline.lock_owner(p_owner text) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(p_owner COLLATE "C", 5425473));
$$;

-- What `Delta::apply` does. `kinds`, `op_names` and `op_values` are the operations in order, with at most one per name.
-- Joined as sets: a thousand operations on a thousand members take two thousand steps, not a million.
CREATE FUNCTION jackline.splice(
    INOUT p_names text[], INOUT p_values text[],
    p_clear boolean, p_kinds text[], p_op_names text[], p_op_values text[], p_most bigint,
    OUT counters bigint[], OUT refusal text
) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    counters := '{}';
    IF p_clear THEN
        p_names := '{}';
        p_values := '{}';
    END IF;
    IF cardinality(p_kinds) > 0 THEN
        WITH joined AS (
            SELECT coalesce(member.name, op.name) AS name, member.place, op.place AS op_place, op.kind,
                member.value AS old, op.value AS given,
                -- NaN is no integer, and larger than every number.
                CASE WHEN op.kind = 'add' THEN
                    CASE WHEN member.value IS NULL THEN 0
                        WHEN member.value ~ '^-?[0-9]{1,19}$' THEN member.value::numeric
                        ELSE 'NaN'
                    END
                END AS base,
                CASE WHEN op.kind = 'add' THEN op.value::numeric END AS by
            FROM unnest(p_names, p_values) WITH ORDINALITY AS member (name, value, place)
            FULL JOIN unnest(p_kinds, p_op_names, p_op_values) WITH ORDINALITY AS op (kind, name, value, place)
                ON member.name = op.name COLLATE "C"
        ), judged AS (
            SELECT *,
                CASE
                    -- What fits no 64-bit integer is none to Rust; what does may still be too large.
                    WHEN base NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN 'not a counter'
                    WHEN abs(base) > 9007199254740991 OR abs(base + by) > 9007199254740991 THEN 'out of range'
                END AS refused
            FROM joined
        ), changed AS (
            SELECT *,
                CASE kind WHEN 'set' THEN given WHEN 'add' THEN (base + by)::text ELSE old END AS value
            FROM judged
            WHERE kind IS DISTINCT FROM 'remove'
        )
        SELECT
            coalesce(array_agg(name ORDER BY place, op_place), '{}'),
            coalesce(array_agg(value ORDER BY place, op_place), '{}'),
            coalesce(
                array_agg(CASE WHEN refused IS NULL THEN (base + by)::bigint END ORDER BY op_place)
                    FILTER (WHERE kind = 'add'),
                '{}'),
            (array_agg(refused ORDER BY op_place) FILTER (WHERE refused IS NOT NULL))[1]
        INTO p_names, p_values, counters, refusal
        FROM changed;
        IF refusal IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    -- The bytes of {"name":value,…}: beside names and values a colon and a comma each, and one brace more than commas.
    IF p_most < greatest(2, 1 + 2 * cardinality(p_names)
        + octet_length(array_to_string(p_names, '')) + octet_length(array_to_string(p_values, '')))
    THEN
        refusal := 'too large';
    END IF;
END
$$;

-- Reads without locking and without writing, unless a renewal is due. If `p_keep`, somebody keeps what it answers, and `quiet` says
-- whether they may: not while a change is on its way that was announced before this.
CREATE FUNCTION jackline.load(
    p_key bytea, p_step bigint, p_now bigint, p_keep boolean,
    OUT answer text, OUT seen bigint, OUT idle bigint, OUT ends bigint, OUT version bigint,
    OUT meta text, OUT member_names text[], OUT member_values text[], OUT quiet boolean
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found_row jackline.sessions;
BEGIN
    IF p_keep THEN
        -- What a change that failed on this connection has left.
        PERFORM pg_advisory_unlock_all();
        quiet := pg_try_advisory_xact_lock(5425474, jackline.bucket(p_key));
    END IF;
    SELECT * INTO found_row FROM jackline.sessions AS s WHERE s.key = p_key;
    -- `now` may be behind `seen`, with a step of zero: time since then is never less than zero.
    IF FOUND AND p_now < least(found_row.idle_deadline, found_row.ends) AND greatest(p_now - found_row.seen, 0) >= p_step THEN
        -- Somebody else may be renewing it, or ending it: looks again when they are done.
        SELECT * INTO found_row FROM jackline.sessions AS s WHERE s.key = p_key FOR UPDATE;
        IF FOUND AND p_now < least(found_row.idle_deadline, found_row.ends)
            AND greatest(p_now - found_row.seen, 0) >= p_step
        THEN
            UPDATE jackline.sessions AS s SET seen = p_now WHERE s.key = p_key;
            answer := 'renewed';
        END IF;
    END IF;
    IF found_row.id IS NULL THEN
        answer := jackline.trace(p_key, p_now);
        RETURN;
    END IF;
    answer := coalesce(answer, CASE WHEN p_now < found_row.idle_deadline THEN 'live' ELSE 'expired' END);
    seen := found_row.seen;
    idle := found_row.idle;
    ends := found_row.ends;
    version := found_row.version;
    meta := found_row.meta;
    member_names := found_row.member_names;
    member_values := found_row.member_values;
END
$$;

-- A row of nobody's or of an owner's. Needs no lock of the owner's: beside a revocation or a cap that does not see it yet, it
-- counts as created after them.
CREATE FUNCTION jackline.insert_session(
    p_key bytea, p_owner text, p_started bigint, p_seen bigint, p_idle bigint, p_ends bigint, p_version bigint,
    p_meta text, p_names text[], p_values text[]
) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO jackline.sessions
        (key, owner, started, seen, idle, ends, version, meta, member_names, member_values)
    VALUES (p_key, p_owner, p_started, p_seen, p_idle, p_ends, p_version, p_meta, p_names, p_values);
$$;

-- Applies a delta to a live session and, if `p_new` is another key, moves it there, and notes that until `p_until`. Owner and
-- login never change. `p_for` is the one version that the delta is for, or null.
CREATE FUNCTION jackline.change(
    p_key bytea, p_new bytea, p_now bigint, p_until bigint, p_meta text,
    p_for bigint, p_clear boolean, p_kinds text[], p_op_names text[], p_op_values text[], p_most bigint,
    OUT answer text, OUT counters bigint[]
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found_row jackline.sessions;
    spliced record;
BEGIN
    IF p_new <> p_key AND EXISTS (SELECT FROM jackline.sessions AS s WHERE s.key = p_new) THEN
        answer := 'conflict';
        RETURN;
    END IF;
    SELECT * INTO found_row FROM jackline.sessions AS s WHERE s.key = p_key FOR UPDATE;
    IF NOT FOUND OR p_now >= found_row.idle_deadline THEN
        answer := 'gone';
        RETURN;
    END IF;
    IF p_for <> found_row.version THEN
        answer := 'outdated';
        RETURN;
    END IF;
    spliced := jackline.splice(found_row.member_names, found_row.member_values,
        p_clear, p_kinds, p_op_names, p_op_values, p_most);
    IF spliced.refusal IS NOT NULL THEN
        answer := spliced.refusal;
        RETURN;
    END IF;
    IF p_clear OR cardinality(p_kinds) > 0 THEN
        UPDATE jackline.sessions AS s SET key = p_new, seen = greatest(s.seen, p_now), version = s.version + 1,
            meta = coalesce(p_meta, s.meta), member_names = spliced.p_names, member_values = spliced.p_values
        WHERE s.key = p_key;
    ELSE
        -- Large data lies outside of the row, and what is not assigned is not written again.
        UPDATE jackline.sessions AS s SET key = p_new, seen = greatest(s.seen, p_now), version = s.version + 1,
            meta = coalesce(p_meta, s.meta)
        WHERE s.key = p_key;
    END IF;
    IF p_new <> p_key THEN
        PERFORM jackline.note_replaced(p_key, p_now, p_until);
    END IF;
    answer := 'applied';
    counters := spliced.counters;
END
$$;

-- Ends a session, if it is there, and leaves a trace, if there is a weight.
CREATE FUNCTION jackline.end_session(p_key bytea, p_weight smallint, p_now bigint, p_until bigint) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    DELETE FROM jackline.sessions AS s WHERE s.key = p_key;
    IF FOUND THEN
        IF p_weight IS NOT NULL THEN
            BEGIN
                PERFORM jackline.note(p_key, p_weight, p_now, p_until);
            EXCEPTION WHEN insufficient_resources OR system_error OR internal_error THEN
                -- There is no room for a trace, and the session ends all the same.
                NULL;
            END;
        END IF;
        RETURN 'removed';
    END IF;
    RETURN jackline.trace(p_key, p_now);
END
$$;

-- Logs in. `p_cap` of `p_at_cap`: 'prune' the oldest, 'refuse' this one, or 'allow' any number. If `p_carry`, the data is that of
-- the replaced session, with the delta that follows applied.
CREATE FUNCTION jackline.admit(
    p_key bytea, p_owner text, p_started bigint, p_seen bigint, p_idle bigint, p_ends bigint, p_version bigint,
    p_meta text, p_names text[], p_values text[],
    p_now bigint, p_epoch bigint, p_at_cap text, p_cap bigint, p_replaced bytea, p_until bigint,
    p_carry boolean, p_for bigint, p_clear boolean, p_kinds text[], p_op_names text[], p_op_values text[], p_most bigint,
    OUT answer text, OUT pruned bytea[]
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    replaced jackline.sessions;
    carried record;
    surplus bigint[] := '{}';
BEGIN
    PERFORM jackline.lock_owner(p_owner);
    IF EXISTS (SELECT FROM jackline.sessions AS s WHERE s.key = p_key) THEN
        answer := 'conflict';
        RETURN;
    END IF;
    IF p_epoch <> coalesce((SELECT o.epoch FROM jackline.owners AS o WHERE o.owner = p_owner), 0) THEN
        answer := 'revoked';
        RETURN;
    END IF;
    -- A cap counts what is there as this statement begins: no other login can add to it, and one that ends beside this
    -- counts as ended afterwards.
    IF p_at_cap <> 'allow' THEN
        surplus := ARRAY(
            SELECT s.id FROM jackline.sessions AS s
            WHERE s.owner = p_owner AND least(s.idle_deadline, s.ends) > p_now AND s.key IS DISTINCT FROM p_replaced
            ORDER BY s.started DESC, s.key DESC OFFSET greatest(p_cap - 1, 0)
        );
        IF p_at_cap = 'refuse' AND (p_cap = 0 OR cardinality(surplus) > 0) THEN
            answer := 'at cap';
            RETURN;
        END IF;
    END IF;
    PERFORM FROM jackline.sessions AS s
    WHERE s.key = p_replaced OR (s.owner = p_owner AND s.id = ANY (surplus))
    ORDER BY s.id FOR UPDATE;
    IF p_carry THEN
        SELECT * INTO replaced FROM jackline.sessions AS s WHERE s.key = p_replaced AND s.idle_deadline > p_now;
        IF p_for IS NOT NULL AND p_for IS DISTINCT FROM replaced.version THEN
            answer := 'outdated';
            RETURN;
        END IF;
        carried := jackline.splice(coalesce(replaced.member_names, '{}'), coalesce(replaced.member_values, '{}'),
            p_clear, p_kinds, p_op_names, p_op_values, p_most);
        IF carried.refusal IS NOT NULL THEN
            answer := carried.refusal;
            RETURN;
        END IF;
        p_names := carried.p_names;
        p_values := carried.p_values;
    END IF;
    DELETE FROM jackline.sessions AS s WHERE s.key = p_replaced;
    IF cardinality(surplus) > 0 THEN
        -- By id: one that was rotated since it was counted is pruned under the key that it has now.
        WITH gone AS (
            DELETE FROM jackline.sessions AS s WHERE s.owner = p_owner AND s.id = ANY (surplus)
            RETURNING s.started, s.key
        )
        SELECT array_agg(g.key ORDER BY g.started DESC, g.key DESC) INTO pruned FROM gone AS g;
    END IF;
    PERFORM jackline.insert_session(p_key, p_owner, p_started, p_seen, p_idle, p_ends, p_version, p_meta, p_names, p_values);
    IF p_replaced IS NOT NULL THEN
        PERFORM jackline.note_replaced(p_replaced, p_now, p_until);
    END IF;
    answer := 'done';
    pruned := coalesce(pruned, '{}');
END
$$;

-- Revokes: the epoch first, then every session but one. Returns how many ended.
CREATE FUNCTION jackline.end_all(p_owner text, p_except bytea, p_now bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ended bigint;
BEGIN
    PERFORM jackline.lock_owner(p_owner);
    INSERT INTO jackline.owners AS o (owner, epoch, set_at) VALUES (p_owner, greatest(1, p_now), p_now)
    ON CONFLICT (owner) DO UPDATE SET epoch = greatest(o.epoch + 1, p_now), set_at = p_now;
    PERFORM FROM jackline.sessions AS s WHERE s.owner = p_owner ORDER BY s.id FOR UPDATE;
    DELETE FROM jackline.sessions AS s WHERE s.owner = p_owner AND s.key IS DISTINCT FROM p_except;
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END
$$;

-- Removes up to `p_limit` records that have run out, and as many epochs and listeners from before `p_forget` and traces. What is locked is left for
-- next time. Returns how many of a kind went at most.
CREATE FUNCTION jackline.reclaim(p_limit bigint, p_now bigint, p_forget bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    gone bigint;
    epochs bigint;
    traces bigint;
BEGIN
    DELETE FROM jackline.sessions WHERE ctid = ANY (ARRAY(
        SELECT s.ctid FROM jackline.sessions AS s WHERE s.reclaim_after <= p_now
        ORDER BY s.reclaim_after LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM jackline.owners WHERE ctid = ANY (ARRAY(
        SELECT o.ctid FROM jackline.owners AS o WHERE o.set_at < p_forget LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS epochs = ROW_COUNT;
    DELETE FROM jackline.traces WHERE ctid = ANY (ARRAY(
        SELECT t.ctid FROM jackline.traces AS t WHERE t.until <= p_now
        ORDER BY t.until LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS traces = ROW_COUNT;
    DELETE FROM jackline.listeners AS l WHERE l.renewed < p_forget;
    RETURN greatest(gone, epochs, traces);
END
$$;

-- Fails if there is no room for a session, and leaves none.
CREATE FUNCTION jackline.probe() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO jackline.sessions (key, started, seen, idle, ends, version, meta, member_names, member_values)
    VALUES ('', 0, 0, 0, 0, 0, repeat('x', 1500), '{}', '{}');
    DELETE FROM jackline.sessions AS s WHERE s.key = '';
END
$$;

-- Near-caches. Whoever changes or ends sessions says so first: an announcement, which is a transaction of its own, then the change,
-- which is another. From before the one until after the other the buckets of these sessions are locked, which `load` notices. So
-- whatever a near-cache has kept, it hears of the change before anybody is told that it is done; whatever it loads meanwhile, it does
-- not keep; and if the connection dies in between, something was announced that did not happen, and nothing happened that was not.
--
-- Not one transaction: PostgreSQL lets one transaction that notifies commit at a time, in the whole cluster, and would wait for the disk
-- with each. A transaction that does nothing but notify does not wait for the disk.
--
-- Without a near-cache nothing is announced, and a change is one transaction. Reading `listeners` locks it until that has ended, which
-- `listen` waits for.

CREATE FUNCTION jackline.bucket(p_key bytea) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT get_byte(p_key, 0) * 256 + get_byte(p_key, 1);
$$;

-- The name of the schema.
CREATE FUNCTION jackline.channel() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT btrim('jackline.', '".'); $$;

-- From when this returns until the connection ends, changes are announced.
CREATE FUNCTION jackline.listen(p_id bigint, p_now bigint) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    LOCK TABLE jackline.listeners IN ACCESS EXCLUSIVE MODE;
    INSERT INTO jackline.listeners (id, renewed) VALUES (p_id, p_now);
END
$$;

-- Says something in the channel that follows all announcements of what has been acknowledged; false if they are not made any more.
CREATE FUNCTION jackline.mark(p_id bigint, p_mark bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_notify(jackline.channel(), format('mark %s %s', p_id, p_mark)) FROM jackline.listeners AS l WHERE l.id = p_id;
    RETURN FOUND;
END
$$;

-- Announces that sessions under these keys are about to change, or any in this bucket, if somebody listens.
CREATE PROCEDURE jackline.announce(p_keys bytea[], p_bucket integer, OUT announced boolean) LANGUAGE plpgsql AS $$
BEGIN
    announced := EXISTS (SELECT FROM jackline.listeners);
    IF announced THEN
        PERFORM pg_advisory_unlock_all();
        PERFORM pg_advisory_lock_shared(5425474, b.bucket)
        FROM (SELECT jackline.bucket(k.key) AS bucket FROM unnest(p_keys) AS k (key) UNION SELECT p_bucket) AS b
        WHERE b.bucket IS NOT NULL;
        PERFORM pg_notify(jackline.channel(), a.what)
        FROM (
            SELECT translate(encode(k.key, 'base64'), '+/=', '-_') FROM unnest(p_keys) AS k (key)
            UNION SELECT lpad(to_hex(p_bucket), 4, '0')
        ) AS a (what)
        WHERE a.what IS NOT NULL;
        COMMIT;
    END IF;
END
$$;

-- The change is made, for everybody to see.
CREATE PROCEDURE jackline.made(p_announced boolean) LANGUAGE plpgsql AS $$
BEGIN
    IF p_announced THEN
        COMMIT;
        PERFORM pg_advisory_unlock_all();
    END IF;
END
$$;

CREATE PROCEDURE jackline.announce_change(
    p_key bytea, p_new bytea, p_now bigint, p_until bigint, p_meta text,
    p_for bigint, p_clear boolean, p_kinds text[], p_op_names text[], p_op_values text[], p_most bigint,
    OUT answer text, OUT counters bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    announced boolean;
BEGIN
    CALL jackline.announce(ARRAY[p_key, p_new], NULL, announced);
    SELECT c.answer, c.counters INTO answer, counters
    FROM jackline.change(p_key, p_new, p_now, p_until, p_meta, p_for, p_clear, p_kinds, p_op_names, p_op_values, p_most) AS c;
    CALL jackline.made(announced);
END
$$;

CREATE PROCEDURE jackline.announce_end(
    p_key bytea, p_weight smallint, p_now bigint, p_until bigint, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    announced boolean;
BEGIN
    CALL jackline.announce(ARRAY[p_key], NULL, announced);
    answer := jackline.end_session(p_key, p_weight, p_now, p_until);
    CALL jackline.made(announced);
END
$$;

-- Whom the cap ends shows too late; it is some in the owner's bucket.
CREATE PROCEDURE jackline.announce_admission(
    p_key bytea, p_owner text, p_started bigint, p_seen bigint, p_idle bigint, p_ends bigint, p_version bigint,
    p_meta text, p_names text[], p_values text[],
    p_now bigint, p_epoch bigint, p_at_cap text, p_cap bigint, p_replaced bytea, p_until bigint,
    p_carry boolean, p_for bigint, p_clear boolean, p_kinds text[], p_op_names text[], p_op_values text[], p_most bigint,
    OUT answer text, OUT pruned bytea[]
) LANGUAGE plpgsql AS $$
DECLARE
    announced boolean;
BEGIN
    CALL jackline.announce(
        ARRAY[p_replaced], CASE WHEN p_at_cap = 'prune' THEN jackline.bucket(p_key) END, announced);
    SELECT a.answer, a.pruned INTO answer, pruned
    FROM jackline.admit(p_key, p_owner, p_started, p_seen, p_idle, p_ends, p_version, p_meta, p_names, p_values,
        p_now, p_epoch, p_at_cap, p_cap, p_replaced, p_until,
        p_carry, p_for, p_clear, p_kinds, p_op_names, p_op_values, p_most) AS a;
    CALL jackline.made(announced);
END
$$;

CREATE PROCEDURE jackline.announce_end_all(
    p_owner text, p_bucket integer, p_except bytea, p_now bigint, OUT ended bigint
) LANGUAGE plpgsql AS $$
DECLARE
    announced boolean;
BEGIN
    CALL jackline.announce('{}', p_bucket, announced);
    ended := jackline.end_all(p_owner, p_except, p_now);
    CALL jackline.made(announced);
END
$$;
