"""Many playgrounds with many evaluations each, written straight into the tables.

Playground `p` is `md5('p' || p)::uuid`, of the owner `owner-<p modulo 100>` in the
organisation `library`; its testers are `tester-1` and so on.
"""

from typing import Final


_ROWS: Final = """
INSERT INTO playgrounds_tables.playgrounds__v1
SELECT
    md5('p' || p)::uuid, 'Playground ' || p, 'ab_testing', '', '',
    md5('o' || p % 100)::uuid, true, 'active', false, 1, 3600, p, NULL, NULL,
    'owner-' || p % 100, 'library', 'eu', now(), now()
FROM generate_series(1, {count}) AS p;

INSERT INTO playgrounds_tables.playground_metrics__v1
SELECT
    md5('p' || p)::uuid, 'Playground ' || p, 'ab_testing', 'owner-' || p % 100,
    'library', 'eu', now()
FROM generate_series(1, {count}) AS p;

INSERT INTO playgrounds_tables.model_configurations__v1
SELECT
    md5('m' || p || k)::uuid, md5('p' || p)::uuid, 'model_' || k, k, 'elevenlabs',
    k, k, 1000, false, 'owner-' || p % 100, 'library', 'eu', now(), now()
FROM generate_series(1, {count}) AS p, unnest(ARRAY['a', 'b']) AS k;

INSERT INTO playgrounds_tables.evaluation_counters__v1
SELECT
    md5('c' || p || k)::uuid, md5('p' || p)::uuid, 'model_' || k, {each} / 2, 0,
    {each} / 2, 'owner-' || p % 100, 'library', 'eu', now(), now()
FROM generate_series(1, {count}) AS p, unnest(ARRAY['a', 'b']) AS k;

INSERT INTO playgrounds_tables.question_metrics__v1
SELECT
    md5('q' || p)::uuid, 'Tone?', md5('p' || p)::uuid, 'select', NULL,
    '[{{"label": "W", "value": "warm"}}, {{"label": "C", "value": "cold"}}]',
    'owner-' || p % 100, 'library', 'eu', now()
FROM generate_series(1, {count}) AS p;

INSERT INTO playgrounds_tables.evaluation_sessions__v1
SELECT
    md5('s' || p || '/' || e)::uuid, md5('p' || p)::uuid, md5('t' || e)::uuid,
    'model_' || CASE e % 2 WHEN 0 THEN 'a' ELSE 'b' END, 'submitted', e, 1, 1, NULL,
    NULL, now(), now(), now(), 1000, 1, NULL, 'tester-' || e, 'owner-' || p % 100,
    'library', 'eu', now(), now()
FROM generate_series(1, {count}) AS p, generate_series(1, {each}) AS e;

INSERT INTO playgrounds_tables.evaluations__v1
SELECT
    md5('e' || p || '/' || e)::uuid, md5('p' || p)::uuid, md5('t' || e)::uuid,
    'model_' || CASE e % 2 WHEN 0 THEN 'a' ELSE 'b' END, md5('q' || p)::uuid, NULL,
    CASE e % 3 WHEN 0 THEN 'warm' ELSE 'cold' END, 1 + e % 5,
    md5('s' || p || '/' || e)::uuid, true, NULL, 'tester-' || e,
    'owner-' || p % 100, 'library', 'eu', now()
FROM generate_series(1, {count}) AS p, generate_series(1, {each}) AS e;
"""


def rows(count: int, each: int) -> str:
    """Return the statements that write so many playgrounds, with so many sessions."""
    return _ROWS.format(count=count, each=each)
