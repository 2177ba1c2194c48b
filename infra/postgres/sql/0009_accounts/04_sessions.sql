-- Who is signed in, from where and since when. A refresh token names its session and
-- its generation; each use makes the next generation, so that a token that comes a
-- second time is seen, and ends the session.
CREATE TABLE sign_in.sessions (
    session_id uuid        NOT NULL PRIMARY KEY,
    org_id     text        NOT NULL COLLATE "C",
    user_id    uuid        NOT NULL,
    method     text        NOT NULL,
    generation integer     NOT NULL DEFAULT 1,
    ip         text,
    agent      text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    ended_why  text        CHECK (
        ended_why IN ('signed-out', 'reused', 'deactivated', 'erased', 'password')
    ),
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);

CREATE INDEX sessions_user_id
    ON sign_in.sessions (user_id, created_at);

CREATE INDEX sessions_ended_at
    ON sign_in.sessions (ended_at)
    WHERE ended_at IS NOT NULL;

CREATE INDEX sessions_expires_at
    ON sign_in.sessions (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON sign_in.sessions
    TO rehearsal_app;
