-- Who may work on a resource, until when. The fence only grows; what is written with
-- an older one is refused by whoever is written to.
CREATE TABLE es.leases (
    resource   text        NOT NULL COLLATE "C" PRIMARY KEY,
    owner      uuid        NOT NULL,
    fence      bigint      NOT NULL CHECK (fence > 0),
    expires_at timestamptz NOT NULL
)
WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE
    ON es.leases
    TO rehearsal_projector;
