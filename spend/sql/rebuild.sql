-- name: clear_buckets
-- The buckets of one shard.
DELETE FROM spend_buckets AS b USING series AS s WHERE s.id = b.series_id AND s.provider = :provider

-- name: clear_days
-- The days of one shard; of all shards where none is named.
DELETE FROM daily_cost_summaries WHERE CAST(:provider AS text) IS NULL OR provider = :provider

-- name: clear_models
-- The all-time totals of one shard.
DELETE FROM spend_summary WHERE provider = :provider

-- name: buckets_from_seals
-- What dropped rows of one shard came to.
INSERT INTO spend_buckets (bucket, series_id,
  requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost)
SELECT bucket, series_id,
  b.requests, b.unpriced, b.input_tokens, b.output_tokens, b.cache_read_tokens,
  b.cache_write_tokens, b.cache_write_1h_tokens, b.reasoning_tokens, b.audio_input_tokens,
  b.audio_output_tokens, b.total_cost
FROM sealed_buckets AS b JOIN series AS s ON s.id = b.series_id
WHERE s.provider = :provider ORDER BY 1, 2

-- name: days_from_buckets
-- The days of a zone, of one shard; of all shards where none is named.
INSERT INTO daily_cost_summaries (day, provider, model, attribution_id,
  requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost)
SELECT CAST(b.bucket AT TIME ZONE :zone AS date), s.provider, s.model, s.attribution_id,
  sum(b.requests) AS requests, sum(b.unpriced) AS unpriced, sum(b.input_tokens) AS input_tokens,
  sum(b.output_tokens) AS output_tokens, sum(b.cache_read_tokens) AS cache_read_tokens,
  sum(b.cache_write_tokens) AS cache_write_tokens,
  sum(b.cache_write_1h_tokens) AS cache_write_1h_tokens,
  sum(b.reasoning_tokens) AS reasoning_tokens, sum(b.audio_input_tokens) AS audio_input_tokens,
  sum(b.audio_output_tokens) AS audio_output_tokens, sum(b.total_cost) AS total_cost
FROM spend_buckets AS b JOIN series AS s ON s.id = b.series_id
WHERE CAST(:provider AS text) IS NULL OR s.provider = :provider
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4

-- name: models_from_buckets
-- The all-time totals of one shard.
INSERT INTO spend_summary (provider, model,
  requests, unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost)
SELECT s.provider, s.model,
  sum(b.requests) AS requests, sum(b.unpriced) AS unpriced, sum(b.input_tokens) AS input_tokens,
  sum(b.output_tokens) AS output_tokens, sum(b.cache_read_tokens) AS cache_read_tokens,
  sum(b.cache_write_tokens) AS cache_write_tokens,
  sum(b.cache_write_1h_tokens) AS cache_write_1h_tokens,
  sum(b.reasoning_tokens) AS reasoning_tokens, sum(b.audio_input_tokens) AS audio_input_tokens,
  sum(b.audio_output_tokens) AS audio_output_tokens, sum(b.total_cost) AS total_cost
FROM spend_buckets AS b JOIN series AS s ON s.id = b.series_id
WHERE s.provider = :provider GROUP BY 1, 2 ORDER BY 1, 2

-- name: hold_all
-- Every shard's cursor, so that no batch runs meanwhile.
SELECT provider FROM cursors ORDER BY provider FOR UPDATE

-- name: set_zone
-- The zone whose days the daily table holds from now on.
UPDATE reporting_zone SET zone = :zone

-- name: zone_exists
-- Whether Postgres knows a zone by this name.
SELECT count(*) FROM pg_timezone_names WHERE name = :zone
