-- name: unchanged
-- Which of some rows of LiteLLM's said the same when they were read before. The LIMIT makes it look
-- each of them up: a hash of all rows that may change takes as long as those are many.
SELECT h.key FROM unnest(CAST(:keys AS uuid[]), CAST(:hashes AS uuid[])) AS h (key, hash)
CROSS JOIN LATERAL (
  SELECT hash FROM litellm_seen WHERE source_id = :source AND key = h.key LIMIT 1
) AS s
WHERE s.hash = h.hash;

-- name: saw
-- Notes what rows said that may still change.
INSERT INTO litellm_seen (source_id, key, hash, started_at)
SELECT :source, key, hash, started_at
FROM unnest(CAST(:keys AS uuid[]), CAST(:hashes AS uuid[]), CAST(:times AS timestamptz[]))
  AS s (key, hash, started_at)
ORDER BY key
ON CONFLICT (source_id, key) DO UPDATE
SET hash = excluded.hash, started_at = excluded.started_at
WHERE litellm_seen.hash <> excluded.hash OR litellm_seen.started_at <> excluded.started_at;

-- name: forget
-- Forgets rows that are too old to be read again, a bounded number at a time.
DELETE FROM litellm_seen WHERE (source_id, key) IN (
  SELECT source_id, key FROM litellm_seen
  WHERE source_id = :source AND started_at < :oldest LIMIT :limit
);

-- name: booked
-- The requests of the ledger that some ids lead to, each looked up.
SELECT k.key, k.row_id, k.digest, k.started_at
FROM unnest(CAST(:keys AS uuid[])) AS h (key)
CROSS JOIN LATERAL (
  SELECT key, row_id, digest, started_at FROM request_keys WHERE key = h.key LIMIT 1
) AS k;

-- name: learn_names
-- Keeps the newest name of each key, at most so many of them; the oldest go first.
WITH learned AS (
  INSERT INTO api_key_names (hash, name)
  SELECT hash, name
  FROM unnest(CAST(:hashes AS text[]), CAST(:names AS text[])) AS l (hash, name) ORDER BY hash
  ON CONFLICT (hash) DO UPDATE SET name = excluded.name, learned_at = now()
  WHERE api_key_names.name <> excluded.name
)
DELETE FROM api_key_names WHERE hash IN (
  SELECT hash FROM api_key_names ORDER BY learned_at DESC, hash OFFSET :most
);

-- name: other_requests
-- Providers and models of which the ledger has requests of a day that came from elsewhere.
SELECT DISTINCT provider, model FROM cost_logs
WHERE started_at >= :first AND started_at < :last AND adjusts_id IS NULL
  AND (request_id IS NULL OR NOT starts_with(request_id, :mine));

-- name: status
-- The sources, with how long ago each was caught up and how many rows it may still compare.
SELECT name, mode, read_to, sweep_ended_at, daily_read_at, caught_up_at, run_at, rows_total,
  settled_total, rejected_total, error,
  extract(epoch FROM clock_timestamp() - caught_up_at) AS lag,
  (SELECT count(*) FROM litellm_days WHERE source_id = id) AS days
FROM litellm_sources ORDER BY name;
