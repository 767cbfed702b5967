-- name: lock
-- Sealing truncates a partition, which no snapshot survives, so audits and sealings take turns.
SELECT pg_advisory_xact_lock(:lock)

-- name: be_impatient
-- Everybody who comes after a waiting lock waits too, so it must not wait long.
SELECT set_config('lock_timeout', '3s', true)

-- name: hold_month
-- Waits for the writers and readers of one month's partition and keeps others out; writers that
-- come meanwhile wait, and then go on in the emptied partition.
LOCK TABLE {part} IN ACCESS EXCLUSIVE MODE

-- name: uncounted
-- Rows of the month that their shard has not counted yet.
SELECT count(*) FROM {part} AS l
LEFT JOIN cursors AS c ON c.provider = l.provider
LEFT JOIN ticks AS t ON t.id = c.tick_id
LEFT JOIN ticks AS cut ON cut.id = c.cut_tick_id
WHERE (l.id <= t.fence_id
      OR l.txid < txid_snapshot_xmin(t.snapshot)
      OR (l.txid < txid_snapshot_xmax(t.snapshot)
        AND txid_visible_in_snapshot(l.txid, t.snapshot))
      OR (l.id <= c.cut_id AND txid_visible_in_snapshot(l.txid, cut.snapshot))) IS NOT TRUE

-- name: differing
-- Buckets of the month that are not the sum of its rows and of what was sealed before.
WITH expected AS (
  SELECT bucket, series_id, sum(requests) AS requests, sum(total_cost) AS total_cost FROM (
    SELECT date_bin('15 minutes', l.started_at, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket,
      s.id AS series_id,
      CAST(l.adjusts_id IS NULL AS integer) AS requests, coalesce(l.cost_usd, 0) AS total_cost
    FROM {part} AS l JOIN series AS s ON s.provider = l.provider AND s.model = l.model
    AND s.attribution_id = l.attribution_id
    UNION ALL
    SELECT bucket, series_id, requests, total_cost FROM sealed_buckets
    WHERE bucket >= :start AND bucket < :stop
  ) AS parts GROUP BY 1, 2
)
SELECT count(*) FROM expected AS e
FULL JOIN (
  SELECT bucket, series_id, requests, total_cost FROM spend_buckets
  WHERE bucket >= :start AND bucket < :stop
) AS b USING (bucket, series_id)
WHERE (e.requests, e.total_cost) IS DISTINCT FROM (b.requests, b.total_cost)

-- name: seal_sums
-- The month's rows as sums per model.
INSERT INTO sealed_months (month, provider, model,
  requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost)
SELECT :month, l.provider, l.model,
  count(*) FILTER (WHERE l.adjusts_id IS NULL) AS requests,
    sum(CASE WHEN l.adjusts_id IS NOT NULL THEN l.unpriced
      WHEN l.cost_usd IS NULL THEN 1 ELSE 0 END) AS unpriced,
  sum(l.input_tokens) AS input_tokens, sum(l.output_tokens) AS output_tokens,
  sum(l.cache_read_tokens) AS cache_read_tokens, sum(l.cache_write_tokens) AS cache_write_tokens,
  sum(l.cache_write_1h_tokens) AS cache_write_1h_tokens,
  sum(l.reasoning_tokens) AS reasoning_tokens, sum(l.audio_input_tokens) AS audio_input_tokens,
  sum(l.audio_output_tokens) AS audio_output_tokens, coalesce(sum(l.cost_usd), 0) AS total_cost
FROM {part} AS l GROUP BY 2, 3 ORDER BY 2, 3

-- name: seal_buckets
-- The month's rows at the grain of buckets, added to what was sealed before.
INSERT INTO sealed_buckets AS b (bucket, series_id,
  requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost)
SELECT date_bin('15 minutes', l.started_at, TIMESTAMPTZ '2000-01-01 00:00:00+00'), s.id,
  count(*) FILTER (WHERE l.adjusts_id IS NULL) AS requests,
    sum(CASE WHEN l.adjusts_id IS NOT NULL THEN l.unpriced
      WHEN l.cost_usd IS NULL THEN 1 ELSE 0 END) AS unpriced,
  sum(l.input_tokens) AS input_tokens, sum(l.output_tokens) AS output_tokens,
  sum(l.cache_read_tokens) AS cache_read_tokens, sum(l.cache_write_tokens) AS cache_write_tokens,
  sum(l.cache_write_1h_tokens) AS cache_write_1h_tokens,
  sum(l.reasoning_tokens) AS reasoning_tokens, sum(l.audio_input_tokens) AS audio_input_tokens,
  sum(l.audio_output_tokens) AS audio_output_tokens, coalesce(sum(l.cost_usd), 0) AS total_cost
FROM {part} AS l JOIN series AS s ON s.provider = l.provider AND s.model = l.model
    AND s.attribution_id = l.attribution_id
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (bucket, series_id) DO UPDATE SET
  requests = b.requests + excluded.requests,
  unpriced = b.unpriced + excluded.unpriced,
  input_tokens = b.input_tokens + excluded.input_tokens,
  output_tokens = b.output_tokens + excluded.output_tokens,
  cache_read_tokens = b.cache_read_tokens + excluded.cache_read_tokens,
  cache_write_tokens = b.cache_write_tokens + excluded.cache_write_tokens,
  cache_write_1h_tokens = b.cache_write_1h_tokens + excluded.cache_write_1h_tokens,
  reasoning_tokens = b.reasoning_tokens + excluded.reasoning_tokens,
  audio_input_tokens = b.audio_input_tokens + excluded.audio_input_tokens,
  audio_output_tokens = b.audio_output_tokens + excluded.audio_output_tokens,
  total_cost = b.total_cost + excluded.total_cost

-- name: count
-- The rows that are about to be dropped.
SELECT count(*) FROM {part}

-- name: open_guard
-- Lets the owner, in this transaction, do what nobody may do otherwise.
ALTER TABLE {part} DISABLE TRIGGER append_only

-- name: drop_rows
-- Gives the month's disk space back; its partition stays, for rows that come late.
TRUNCATE TABLE {part}

-- name: close_guard
-- The month is append-only again.
ALTER TABLE {part} ENABLE ALWAYS TRIGGER append_only
