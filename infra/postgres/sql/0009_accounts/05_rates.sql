-- How much of its rate a key has used: the moment at which it will have none used, which
-- is the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371).
CREATE TABLE sign_in.rates (
    key      text        NOT NULL COLLATE "C" PRIMARY KEY,
    spent_at timestamptz NOT NULL
)
WITH (fillfactor = 70);

CREATE INDEX rates_spent_at
    ON sign_in.rates (spent_at);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON sign_in.rates
    TO rehearsal_app;
