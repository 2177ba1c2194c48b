-- The hash of each user's password, its scheme and cost within.
CREATE TABLE sign_in.passwords (
    user_id uuid        NOT NULL PRIMARY KEY,
    org_id  text        NOT NULL COLLATE "C",
    hash    text        NOT NULL,
    set_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON sign_in.passwords
    TO rehearsal_app;
