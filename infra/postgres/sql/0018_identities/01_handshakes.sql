-- Sign-ins by an identity provider that have begun: by the digest of their state, which
-- is good once. Nonce and verifier are made of what the browser keeps, and not here.
CREATE TABLE sign_in.handshakes (
    digest       bytea       NOT NULL PRIMARY KEY,
    org_id       text        NOT NULL COLLATE "C",
    provider     text        NOT NULL,
    redirect_uri text        NOT NULL,
    expires_at   timestamptz NOT NULL
);

CREATE INDEX handshakes_expires_at
    ON sign_in.handshakes (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON sign_in.handshakes
    TO rehearsal_app;
