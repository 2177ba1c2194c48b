-- What waits for a place in its group, which every end of a job of the group looks for.
-- Without it each end would look at all of the group's jobs that are ready.
CREATE INDEX work_waiting
    ON es.work (group_key, place)
    WHERE state = 'ready' AND due_at = 'infinity';
