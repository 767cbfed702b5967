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

-- name: claim_all
-- Claims the staged lines of which no key is known, each with all its keys, and gives the known
-- ones those of their keys that nobody has. torn: lines that lost some of their keys to another
-- session after we had looked; then nothing of this may stay. Answers as claim_unknown.
WITH known AS MATERIALIZED (
  SELECT DISTINCT ON (s.line) s.line, k.row_id, k.digest, k.started_at
  FROM staged_keys AS s
  CROSS JOIN LATERAL (
    SELECT row_id, digest, started_at FROM request_keys WHERE key = s.key LIMIT 1
  ) AS k
  ORDER BY s.line, k.row_id
), fresh AS MATERIALIZED (
  SELECT nextval('cost_logs_id_seq') AS id, line
  FROM (SELECT DISTINCT line FROM staged_keys EXCEPT SELECT line FROM known ORDER BY 1) AS f
), wanted AS MATERIALIZED (
  SELECT coalesce(f.id, k.row_id) AS row_id, coalesce(k.digest, s.digest) AS digest,
    coalesce(k.started_at, s.started_at) AS started_at, s.key, f.line
  FROM staged_keys AS s LEFT JOIN fresh AS f USING (line) LEFT JOIN known AS k USING (line)
), written AS (
  INSERT INTO request_keys (row_id, digest, started_at, key)
  SELECT row_id, digest, started_at, key FROM wanted ORDER BY key
  ON CONFLICT (key) DO NOTHING
  RETURNING key
), torn AS (
  SELECT FROM wanted AS w LEFT JOIN written USING (key)
  WHERE w.line IS NOT NULL AND written.key IS NULL
)
SELECT (SELECT count(*) FROM torn) AS torn, count(*) AS claimed, min(id) AS first_id,
  array_agg(line ORDER BY line) AS lines, array_agg(id ORDER BY line) AS ids
FROM fresh;

-- name: conflicts
-- Staged lines that are known with another content, or a time further off than rounding, or as two
-- requests. The LIMIT makes it look each key up: a hash of all keys ever booked takes as long as
-- those are many.
SELECT s.line,
  CASE WHEN count(DISTINCT k.row_id) > 1 THEN 'request'
    WHEN bool_or(k.digest <> s.digest) THEN 'content' ELSE 'time' END AS reason
FROM staged_keys AS s
CROSS JOIN LATERAL (
  SELECT row_id, digest, started_at FROM request_keys WHERE key = s.key LIMIT 1
) AS k
GROUP BY s.line
HAVING count(DISTINCT k.row_id) > 1 OR bool_or(k.digest <> s.digest
  OR k.started_at NOT BETWEEN s.started_at - INTERVAL '2 seconds'
    AND s.started_at + INTERVAL '2 seconds')
ORDER BY s.line;
