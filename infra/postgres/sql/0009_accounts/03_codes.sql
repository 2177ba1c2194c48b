-- The code that was sent last to an address, by the address's HMAC. It ends by being
-- used, by its time, or by too many wrong guesses.
CREATE TABLE sign_in.codes (
    org_id       text        NOT NULL COLLATE "C",
    address      text        NOT NULL COLLATE "C",
    digest       bytea       NOT NULL,
    guesses_left integer     NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (org_id, address)
);

CREATE INDEX codes_expires_at
    ON sign_in.codes (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON sign_in.codes
    TO rehearsal_app;
