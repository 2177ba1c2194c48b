-- Whom a direct SQL login stands for; a login without a row here sees no rows.
CREATE TABLE access.logins (
    login  name   NOT NULL PRIMARY KEY,
    org_id text   NOT NULL,
    actor  text   NOT NULL CHECK (actor LIKE '_%:_%'),
    roles  text[] NOT NULL DEFAULT '{}'
);
