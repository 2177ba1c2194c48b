-- Keeps references until they are acked. Who holds one of them holds it no more.
CREATE FUNCTION es.publish_references_v1(of_kind text, job_ids uuid[])
    RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO es.deliveries (job_id, kind)
    SELECT DISTINCT asked.job_id, of_kind
      FROM unnest(job_ids) AS asked (job_id)
     ORDER BY asked.job_id
        ON CONFLICT (job_id) DO UPDATE
       SET kind = excluded.kind,
           free_at = excluded.free_at,
           token = NULL
$$;

REVOKE ALL ON FUNCTION es.publish_references_v1(text, uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.publish_references_v1(text, uuid[])
    TO rehearsal_app, rehearsal_projector;
