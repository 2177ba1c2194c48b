-- Who loses a role keeps the session, but not the access tokens that tell of the role:
-- those of this generation and of earlier ones are believed no more.
ALTER TABLE sign_in.sessions
    ADD COLUMN outdated_generation integer,
    ADD COLUMN outdated_at         timestamptz,
    ADD CHECK ((outdated_at IS NULL) = (outdated_generation IS NULL));

CREATE INDEX sessions_outdated_at
    ON sign_in.sessions (outdated_at)
    WHERE outdated_at IS NOT NULL;
