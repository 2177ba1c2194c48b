-- Every change of a build's state, for the record.
CREATE TABLE es.transitions (
    id         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL COLLATE "C",
    build      int         NOT NULL,
    was        text,
    became     text        NOT NULL,
    position   bigint      NOT NULL,
    by         text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (name, build) REFERENCES es.projections
);

CREATE INDEX transitions_build
    ON es.transitions (name, build);

GRANT SELECT, INSERT
    ON es.transitions
    TO rehearsal_projector;
