-- Keys whose later events go to es.parked, since an earlier one is there.
CREATE TABLE es.diverted (
    projection text   NOT NULL COLLATE "C",
    version    int    NOT NULL,
    key        text   NOT NULL COLLATE "C",
    position   bigint NOT NULL,
    PRIMARY KEY (projection, version, key)
);

GRANT SELECT, INSERT, DELETE
    ON es.diverted
    TO rehearsal_projector;
