-- name: models
-- Models with unpriced requests.
SELECT provider, model FROM spend_summary WHERE unpriced > 0 ORDER BY provider, model

-- name: buckets
-- A model's quarters of an hour with unpriced requests, but for those that were looked at with
-- these prices and have not changed since.
SELECT b.bucket, b.series_id, b.requests, b.unpriced
FROM series AS s
JOIN spend_buckets AS b ON b.series_id = s.id AND b.unpriced > 0
LEFT JOIN settlement_tries AS t ON t.bucket = b.bucket AND t.series_id = b.series_id
WHERE s.provider = :provider AND s.model = :model
  AND (t.prices = CAST(:prices AS uuid) AND t.requests = b.requests AND t.unpriced >= b.unpriced)
    IS NOT TRUE
ORDER BY b.bucket, b.series_id LIMIT :most

-- name: unpriced
-- A model's requests of some stretches of time that came without a cost and were never settled.
SELECT l.id, l.started_at
FROM unnest(CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[])) AS s (since, until)
CROSS JOIN LATERAL (
  SELECT id, started_at FROM cost_logs AS r
  WHERE started_at >= s.since AND started_at < s.until AND id > :after
    AND provider = :provider AND model = :model AND cost_usd IS NULL AND adjusts_id IS NULL
    AND NOT EXISTS (
      SELECT FROM cost_logs AS a
      WHERE a.adjusts_id = r.id AND a.started_at = r.started_at AND a.unpriced <> 0
    )
  OFFSET 0
) AS l
ORDER BY l.id LIMIT :most

-- name: note
-- Buckets that were looked at, with their figures then.
INSERT INTO settlement_tries (bucket, series_id, requests, unpriced, prices)
SELECT bucket, series_id, requests, unpriced, CAST(:prices AS uuid)
FROM unnest(CAST(:buckets AS timestamptz[]), CAST(:series AS integer[]),
  CAST(:request_counts AS bigint[]), CAST(:unpriced_counts AS bigint[]))
  AS n (bucket, series_id, requests, unpriced)
ORDER BY 1, 2
ON CONFLICT (bucket, series_id) DO UPDATE SET requests = excluded.requests,
  unpriced = excluded.unpriced, prices = excluded.prices, tried_at = clock_timestamp()

-- name: prune
-- Forgets buckets in which nothing is unpriced any more.
WITH gone AS (
  DELETE FROM settlement_tries AS t WHERE NOT EXISTS (
    SELECT FROM spend_buckets AS b
    WHERE b.bucket = t.bucket AND b.series_id = t.series_id AND b.unpriced > 0
  )
  RETURNING 1
)
SELECT count(*) FROM gone
