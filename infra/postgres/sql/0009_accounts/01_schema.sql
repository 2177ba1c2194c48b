-- What signing in needs and the log must not hold: hashes, and what an attacker could
-- make grow. Nothing here is in the clear: a code or a token is known by its digest.
CREATE SCHEMA sign_in;

GRANT USAGE
    ON SCHEMA sign_in
    TO rehearsal_app;
