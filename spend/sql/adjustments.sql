-- name: lock
-- Whoever corrects rows does so alone until its transaction ends, so nobody works from figures
-- that another correction is changing. A statement of its own: the next one sees what is there.
SELECT pg_advisory_xact_lock(:lock)

-- name: find
-- Requests of the ledger by id and time, each with its adjustments. Ids that lie close together
-- are one span, which the block range index reads at once.
WITH wanted AS MATERIALIZED (
  SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS w (id, started_at)
),
spans AS MATERIALIZED (
  SELECT * FROM unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[]),
    CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[])) AS s (low, high, first, last)
)
SELECT l.id, l.started_at, l.provider, l.model, l.attribution_id, l.status, l.price_version_id,
  l.cost_usd, l.service_tier, l.gateway_cost_usd, l.provider_cost_usd,
  l.input_tokens + j.input_tokens AS input_tokens,
  l.output_tokens + j.output_tokens AS output_tokens,
  l.cache_read_tokens + j.cache_read_tokens AS cache_read_tokens,
  l.cache_write_tokens + j.cache_write_tokens AS cache_write_tokens,
  l.cache_write_1h_tokens + j.cache_write_1h_tokens AS cache_write_1h_tokens,
  l.reasoning_tokens + j.reasoning_tokens AS reasoning_tokens,
  l.audio_input_tokens + j.audio_input_tokens AS audio_input_tokens,
  l.audio_output_tokens + j.audio_output_tokens AS audio_output_tokens,
  j.versions, j.costs, j.unpriced
FROM spans AS s
CROSS JOIN LATERAL (
  SELECT id, started_at, provider, model, attribution_id, status, price_version_id, cost_usd,
    service_tier, gateway_cost_usd, provider_cost_usd,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
    reasoning_tokens, audio_input_tokens, audio_output_tokens
  FROM cost_logs
  WHERE id >= s.low AND id <= s.high AND started_at >= s.first AND started_at <= s.last
    AND adjusts_id IS NULL
  OFFSET 0
) AS l
JOIN wanted AS w ON w.id = l.id AND w.started_at = l.started_at
CROSS JOIN LATERAL (
  SELECT array_agg(price_version_id ORDER BY id) AS versions,
    array_agg(coalesce(cost_usd, 0) ORDER BY id) AS costs,
    array_agg(unpriced ORDER BY id) AS unpriced,
    CAST(coalesce(sum(input_tokens), 0) AS bigint) AS input_tokens,
    CAST(coalesce(sum(output_tokens), 0) AS bigint) AS output_tokens,
    CAST(coalesce(sum(cache_read_tokens), 0) AS bigint) AS cache_read_tokens,
    CAST(coalesce(sum(cache_write_tokens), 0) AS bigint) AS cache_write_tokens,
    CAST(coalesce(sum(cache_write_1h_tokens), 0) AS bigint) AS cache_write_1h_tokens,
    CAST(coalesce(sum(reasoning_tokens), 0) AS bigint) AS reasoning_tokens,
    CAST(coalesce(sum(audio_input_tokens), 0) AS bigint) AS audio_input_tokens,
    CAST(coalesce(sum(audio_output_tokens), 0) AS bigint) AS audio_output_tokens
  FROM cost_logs WHERE adjusts_id = l.id AND started_at = l.started_at
) AS j

-- name: next_id
-- A ledger id below those that this transaction is about to give.
SELECT nextval('cost_logs_id_seq')

-- name: last_id
-- The last ledger id that this session gave.
SELECT currval('cost_logs_id_seq')
