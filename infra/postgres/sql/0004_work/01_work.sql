-- Every job that an event asked for, and what became of it.
--
-- ready      may run from not_before on, or waits behind another
-- leased     a worker holds it until expires_at, under its fence
-- done       its result is recorded
-- failed     its attempts are used up; an operator may retry it
-- cancelled  nobody wants its result any more
--
-- place: the order of the log; of a key's open jobs only the first may run, and of a
-- group's jobs at most group_limit at a time. due_at: when a ready job is offered next;
-- infinity: it waits behind another, whose end makes it due. offers: how often it was
-- offered without being claimed. fence: grows with every lease, and what is appended
-- under an older one is refused (es.fenced). reported_at: when the failure was told.
CREATE TABLE es.work (
    id             uuid        NOT NULL PRIMARY KEY,
    place          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    effect_key     text        NOT NULL COLLATE "C" UNIQUE,
    kind           text        NOT NULL COLLATE "C",
    key            text        NOT NULL COLLATE "C",
    group_key      text        COLLATE "C",
    group_limit    integer     CHECK (group_limit > 0),
    org_id         text        NOT NULL COLLATE "C",
    region         text        NOT NULL COLLATE "C",
    position       bigint      NOT NULL,
    event_id       uuid        NOT NULL,
    correlation_id uuid        NOT NULL,
    body           json        NOT NULL,
    headers        json,
    state          text        NOT NULL DEFAULT 'ready' COLLATE "C" CHECK (
        state IN ('ready', 'leased', 'done', 'failed', 'cancelled')
    ),
    not_before     timestamptz,
    due_at         timestamptz NOT NULL,
    offers         integer     NOT NULL DEFAULT 0,
    published_at   timestamptz,
    attempt        integer     NOT NULL DEFAULT 0,
    max_attempts   integer     NOT NULL CHECK (max_attempts > 0),
    owner          uuid,
    fence          bigint      NOT NULL DEFAULT 0,
    expires_at     timestamptz,
    last_error     text,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    leased_at      timestamptz,
    ended_at       timestamptz,
    reported_at    timestamptz,
    CHECK (state <> 'leased' OR (owner IS NOT NULL AND expires_at IS NOT NULL)),
    CHECK (group_key IS NULL OR group_limit IS NOT NULL)
)
WITH (
    fillfactor = 60,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_cost_delay = 0
);

GRANT SELECT ON es.work
    TO rehearsal_app, rehearsal_projector;
