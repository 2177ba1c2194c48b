-- What no process of this version or of the one before it calls.
DROP FUNCTION es.append_v1;

DROP FUNCTION es.append_v2;

DROP FUNCTION es.append_bulk_v1;

DROP FUNCTION es.append_bulk_v2;

DROP FUNCTION es.store;

DROP FUNCTION es.store_v2;

DROP FUNCTION es.event_hash;
