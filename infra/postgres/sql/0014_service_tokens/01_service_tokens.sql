-- The tokens of services, by the digest of their secret, and what their bearers may do.
-- `changed_at` is what every process follows.
CREATE TABLE sign_in.service_tokens (
    token_id   uuid        NOT NULL PRIMARY KEY,
    org_id     text        NOT NULL COLLATE "C",
    service    text        NOT NULL,
    roles      text[]      NOT NULL,
    scopes     text[]      NOT NULL,
    digest     bytea       NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX service_tokens_changed_at
    ON sign_in.service_tokens (changed_at);

CREATE INDEX service_tokens_org_id
    ON sign_in.service_tokens (org_id);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON sign_in.service_tokens
    TO rehearsal_app;
