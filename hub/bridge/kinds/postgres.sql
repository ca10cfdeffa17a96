-- The outbox of a hub: an application publishes in its own transaction, a bridge hands on what was committed.
--
--     SELECT hub_publish('order:42', 'order_paid', '{"amount": 12}', key => '42');
--
-- Ids have to rise in the order of commits, by channel: a bridge says of each id that everything of its channel below it
-- was handed on. So the lock of the channel is taken BEFORE the id is drawn, and kept to the end of the transaction.

CREATE TABLE IF NOT EXISTS hub_outbox (
    id          bigint PRIMARY KEY,
    channel     text NOT NULL,
    event       text NOT NULL,
    payload     text NOT NULL,          -- JSON, as it is to come out
    key         text,
    final       boolean NOT NULL DEFAULT false,
    version     bigint[],
    meta        jsonb,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE SEQUENCE IF NOT EXISTS hub_outbox_id OWNED BY hub_outbox.id;

-- One life of the table: a table that is made anew begins at 1 again, and says so by this.
CREATE TABLE IF NOT EXISTS hub_outbox_life (one boolean PRIMARY KEY DEFAULT true CHECK (one), generation bigint NOT NULL);
INSERT INTO hub_outbox_life (generation) VALUES ((extract(epoch FROM clock_timestamp()) * 1000)::bigint)
    ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION hub_publish(
    channel text, event text, payload json,
    key text DEFAULT NULL, final boolean DEFAULT false, version bigint[] DEFAULT NULL, meta jsonb DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    new_id bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1751478882, hashtext(channel));
    new_id := nextval('hub_outbox_id');
    INSERT INTO hub_outbox (id, channel, event, payload, key, final, version, meta)
        VALUES (new_id, $1, $2, $3::text, $4, $5, $6, $7);
    NOTIFY hub_outbox;
    RETURN new_id;
END
$$;
