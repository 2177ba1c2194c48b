-- Messages that asked for commands and could not be handled.
--
-- waiting  it passed a rate, and is handled again from not_before on
-- dead     it waits for an operator
-- done     it was handled after all
-- dropped  an operator wants nothing of it
--
-- id follows from the message, so the same one is one letter however often it comes;
-- deliveries counts. message holds its properties and headers without the token, in
-- whose place identity has what the token proved. size is that of the body as it came;
-- of one that is larger than any batch only the beginning is kept.
CREATE TABLE es.letters (
    id          uuid        NOT NULL PRIMARY KEY,
    state       text        NOT NULL COLLATE "C" CHECK (
        state IN ('waiting', 'dead', 'done', 'dropped')
    ),
    org_id      text        COLLATE "C",
    identity    json,
    message     json        NOT NULL,
    body        bytea       NOT NULL,
    size        bigint      NOT NULL,
    code        text        NOT NULL COLLATE "C",
    detail      text        NOT NULL,
    path        text,
    deliveries  integer     NOT NULL DEFAULT 1,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    not_before  timestamptz,
    ended_at    timestamptz,
    CHECK (state <> 'waiting' OR not_before IS NOT NULL)
);

CREATE INDEX letters_due
    ON es.letters (not_before)
    WHERE state = 'waiting';

CREATE INDEX letters_dead
    ON es.letters (received_at, id)
    WHERE state = 'dead';

CREATE INDEX letters_received
    ON es.letters (received_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON es.letters
    TO rehearsal_app;
