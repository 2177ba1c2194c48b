-- Ended jobs are in no index but those of their names and of the failed: what moves
-- jobs costs the same, however many there were.
CREATE INDEX work_due
    ON es.work (due_at, place)
    WHERE state = 'ready';

CREATE INDEX work_open
    ON es.work (key, place)
    WHERE state IN ('ready', 'leased');

CREATE INDEX work_group
    ON es.work (group_key, place)
    WHERE state IN ('ready', 'leased');

-- Not by expires_at, which every renewal changes: few jobs are leased at a time.
CREATE INDEX work_leased
    ON es.work (group_key)
    WHERE state = 'leased';

CREATE INDEX work_failed
    ON es.work (ended_at, id)
    WHERE state = 'failed';
