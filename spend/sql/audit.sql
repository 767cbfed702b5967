-- name: lock
-- Sealing truncates a partition, which no snapshot survives, so audits and sealings take turns.
SELECT pg_advisory_xact_lock_shared(:lock)

-- name: totals
-- The ledger as far as each shard's cursor is (with what was sealed), and each table derived
-- from it, per provider and model. One statement, so one snapshot: exact while writers write.
WITH ledger AS (
  SELECT l.provider, l.model, count(*) AS ledger_rows,
    count(*) FILTER (WHERE l.adjusts_id IS NULL) AS requests,
    sum(CASE WHEN l.adjusts_id IS NOT NULL THEN l.unpriced
      WHEN l.cost_usd IS NULL THEN 1 ELSE 0 END) AS unpriced,
    sum(l.input_tokens) AS input_tokens, sum(l.output_tokens) AS output_tokens,
    sum(l.cache_read_tokens) AS cache_read_tokens,
    sum(l.cache_write_tokens) AS cache_write_tokens,
    sum(l.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(l.reasoning_tokens) AS reasoning_tokens, sum(l.audio_input_tokens) AS audio_input_tokens,
    sum(l.audio_output_tokens) AS audio_output_tokens,
    coalesce(sum(l.cost_usd), 0) AS total_cost
  FROM cost_logs AS l
  JOIN cursors AS c ON c.provider = l.provider
  JOIN ticks AS t ON t.id = c.tick_id
  LEFT JOIN ticks AS cut ON cut.id = c.cut_tick_id
  WHERE (CAST(:provider AS text) IS NULL OR l.provider = :provider) AND (l.id <= t.fence_id
      OR l.txid < txid_snapshot_xmin(t.snapshot)
      OR (l.txid < txid_snapshot_xmax(t.snapshot)
        AND txid_visible_in_snapshot(l.txid, t.snapshot))
      OR (l.id <= c.cut_id AND txid_visible_in_snapshot(l.txid, cut.snapshot)))
  GROUP BY 1, 2
),
expected AS (
  SELECT provider, model, ledger_rows,
    requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
    cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost FROM ledger
  UNION ALL
  SELECT provider, model, 0,
    requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
    cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost FROM sealed_months
)
SELECT 'ledger' AS source, provider, model, sum(ledger_rows) AS ledger_rows,
  sum(requests) AS requests, sum(unpriced) AS unpriced, sum(input_tokens) AS input_tokens,
  sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens,
  sum(cache_write_tokens) AS cache_write_tokens,
  sum(cache_write_1h_tokens) AS cache_write_1h_tokens, sum(reasoning_tokens) AS reasoning_tokens,
  sum(audio_input_tokens) AS audio_input_tokens, sum(audio_output_tokens) AS audio_output_tokens,
  sum(total_cost) AS total_cost
FROM expected WHERE CAST(:provider AS text) IS NULL OR provider = :provider GROUP BY 2, 3
UNION ALL
SELECT 'buckets', s.provider, s.model, 0,
  sum(b.requests) AS requests, sum(b.unpriced) AS unpriced, sum(b.input_tokens) AS input_tokens,
  sum(b.output_tokens) AS output_tokens, sum(b.cache_read_tokens) AS cache_read_tokens,
  sum(b.cache_write_tokens) AS cache_write_tokens,
  sum(b.cache_write_1h_tokens) AS cache_write_1h_tokens,
  sum(b.reasoning_tokens) AS reasoning_tokens, sum(b.audio_input_tokens) AS audio_input_tokens,
  sum(b.audio_output_tokens) AS audio_output_tokens, sum(b.total_cost) AS total_cost
FROM spend_buckets AS b JOIN series AS s ON s.id = b.series_id
WHERE CAST(:provider AS text) IS NULL OR s.provider = :provider GROUP BY 2, 3
UNION ALL
SELECT 'days', provider, model, 0,
  sum(requests) AS requests, sum(unpriced) AS unpriced, sum(input_tokens) AS input_tokens,
  sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens,
  sum(cache_write_tokens) AS cache_write_tokens,
  sum(cache_write_1h_tokens) AS cache_write_1h_tokens, sum(reasoning_tokens) AS reasoning_tokens,
  sum(audio_input_tokens) AS audio_input_tokens, sum(audio_output_tokens) AS audio_output_tokens,
  sum(total_cost) AS total_cost
FROM daily_cost_summaries
WHERE CAST(:provider AS text) IS NULL OR provider = :provider GROUP BY 2, 3
UNION ALL
SELECT 'all-time', provider, model, 0,
  requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost
FROM spend_summary WHERE CAST(:provider AS text) IS NULL OR provider = :provider

-- name: record
-- What an audit or a repair found.
INSERT INTO audits (kind, rows, difference, mismatches)
VALUES (:kind, :rows, :difference, CAST(:mismatches AS jsonb))
