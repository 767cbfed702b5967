-- name: create_staging
-- The keys of one batch on their way into the ledger, in a table that only this connection sees.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_keys (
  line integer NOT NULL,
  digest bigint NOT NULL,
  started_at timestamptz NOT NULL,
  key uuid NOT NULL
) ON COMMIT DELETE ROWS;

-- name: lock_ledger
-- Takes the lock that every insert into the ledger takes, until the transaction ends. Ids must not
-- be drawn before it: a restored database tells old rows from new ones by them.
INSERT INTO cost_logs (provider, model) SELECT '', '' WHERE false;

-- name: claim
-- Claims the staged keys, all of them new, in their own order, so that two importers cannot wait
-- for each other in a circle; a key that is known already is an error. Answers as claim_unknown.
WITH numbered AS MATERIALIZED (
  SELECT nextval('cost_logs_id_seq') AS id, line, digest, started_at, key FROM staged_keys
), fresh AS (
  INSERT INTO request_keys (row_id, digest, started_at, key)
  SELECT id, digest, started_at, key FROM numbered ORDER BY key
  RETURNING row_id
)
SELECT count(*) AS claimed, min(row_id) AS first_id,
  CASE WHEN max(row_id) - min(row_id) + 1 <> count(*)
    THEN (SELECT array_agg(line ORDER BY line) FROM numbered) END AS lines,
  CASE WHEN max(row_id) - min(row_id) + 1 <> count(*)
    THEN (SELECT array_agg(id ORDER BY line) FROM numbered) END AS ids
FROM fresh;

-- name: claim_unknown
-- Claims the staged keys that are new and passes over the others: how many, and the ledger id of
-- each line, or only the first where all lines have ids that follow each other.
WITH numbered AS MATERIALIZED (
  SELECT nextval('cost_logs_id_seq') AS id, line, digest, started_at, key FROM staged_keys
), fresh AS (
  INSERT INTO request_keys (row_id, digest, started_at, key)
  SELECT id, digest, started_at, key FROM numbered ORDER BY key
  ON CONFLICT (key) DO NOTHING
  RETURNING row_id
)
SELECT count(*) AS claimed, min(f.row_id) AS first_id,
  array_agg(n.line ORDER BY n.line) AS lines, array_agg(n.id ORDER BY n.line) AS ids
FROM fresh AS f JOIN numbered AS n ON n.id = f.row_id;

-- name: conflicts
-- Staged keys that are known with another content, or a time further off than rounding. The
-- LIMIT makes it look each of them up: a hash of all keys ever booked takes as long as those are
-- many.
SELECT s.line, k.digest <> s.digest AS content
FROM staged_keys AS s
CROSS JOIN LATERAL (
  SELECT digest, started_at FROM request_keys WHERE key = s.key LIMIT 1
) AS k
WHERE k.digest <> s.digest
  OR k.started_at NOT BETWEEN s.started_at - INTERVAL '2 seconds'
    AND s.started_at + INTERVAL '2 seconds'
ORDER BY s.line;
