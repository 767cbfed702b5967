-- name: prepare
-- Before a batch, for its transaction. The planner cannot know how many buckets a batch has, and
-- would sort it, which takes twice as long as hashing; half a million buckets fit in the memory, a
-- small batch takes none of it. The lock is shared by batches: an edit of budgets waits for those
-- under way, and the next ones wait for it.
SELECT set_config('enable_sort', 'off', true), set_config('work_mem', '256MB', true),
  pg_advisory_xact_lock_shared(:lock)

-- name: zone
-- The zone whose days the daily table holds, and whether there is any budget to count for.
SELECT zone, EXISTS (SELECT FROM budget_queries) AS budgets FROM reporting_zone

-- name: apply
-- One batch of one shard: a single scan makes one delta, and the delta moves all four tables,
-- each in key order, says which budgets moved, and tells the feed. Ids bound the scan; the transactions between two ticks select the rows.
-- Budgets are found from what is in the delta, by the keys of its series, so that those that it
-- does not touch cost nothing; without :budgets the planner leaves all of that out. OFFSET 0 makes
-- it look each of them up: it cannot know how few there are, and would read all budgets.
WITH delta AS MATERIALIZED (
  SELECT date_bin('15 minutes', started_at, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket,
    model, attribution_id, count(*) AS ledger_rows,
    count(*) FILTER (WHERE adjusts_id IS NULL) AS requests,
    sum(CASE WHEN adjusts_id IS NOT NULL THEN unpriced
      WHEN cost_usd IS NULL THEN 1 ELSE 0 END) AS unpriced,
    CAST(sum(input_tokens) AS bigint) AS input_tokens,
    CAST(sum(output_tokens) AS bigint) AS output_tokens,
    CAST(sum(cache_read_tokens) AS bigint) AS cache_read_tokens,
    CAST(sum(cache_write_tokens) AS bigint) AS cache_write_tokens,
    CAST(sum(cache_write_1h_tokens) AS bigint) AS cache_write_1h_tokens,
    CAST(sum(reasoning_tokens) AS bigint) AS reasoning_tokens,
    CAST(sum(audio_input_tokens) AS bigint) AS audio_input_tokens,
    CAST(sum(audio_output_tokens) AS bigint) AS audio_output_tokens,
    coalesce(sum(cost_usd), 0) AS total_cost
  FROM cost_logs
  WHERE provider = :provider AND id >= :first_id AND id <= :last_id AND id > :fence AND (
    (txid >= :after AND txid < :before
      AND (txid < :settled OR txid_visible_in_snapshot(txid, CAST(:snapshot AS txid_snapshot))))
    OR txid = ANY (CAST(:ended AS bigint[]))
  )
  GROUP BY 1, 2, 3
),
added AS (
  INSERT INTO series (provider, model, attribution_id)
  SELECT DISTINCT :provider, model, attribution_id FROM delta AS d
  WHERE NOT EXISTS (
    SELECT FROM series AS s WHERE s.provider = :provider
      AND s.model = d.model AND s.attribution_id = d.attribution_id
  )
  RETURNING id, model, attribution_id
),
known AS (
  SELECT id, model, attribution_id FROM series WHERE provider = :provider
  UNION ALL SELECT id, model, attribution_id FROM added
),
buckets AS (
  INSERT INTO spend_buckets AS b (bucket, series_id, requests, unpriced, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
    reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost)
  SELECT d.bucket, k.id, d.requests, d.unpriced, d.input_tokens,
    d.output_tokens, d.cache_read_tokens, d.cache_write_tokens, d.cache_write_1h_tokens,
    d.reasoning_tokens, d.audio_input_tokens, d.audio_output_tokens, d.total_cost
  FROM delta AS d JOIN known AS k USING (model, attribution_id)
  ORDER BY 1, 2
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
),
days AS (
  INSERT INTO daily_cost_summaries AS b (day, provider, model, attribution_id, requests,
    unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
    cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost)
  SELECT CAST(bucket AT TIME ZONE :zone AS date), :provider, model, attribution_id,
    sum(requests), sum(unpriced), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens),
    sum(cache_write_tokens), sum(cache_write_1h_tokens), sum(reasoning_tokens),
    sum(audio_input_tokens), sum(audio_output_tokens), sum(total_cost)
  FROM delta GROUP BY 1, 3, 4 ORDER BY 1, 3, 4
  ON CONFLICT (day, provider, model, attribution_id) DO UPDATE SET
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
),
models AS (
  INSERT INTO spend_summary AS b (provider, model, requests, unpriced, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
    reasoning_tokens, audio_input_tokens, audio_output_tokens, total_cost)
  SELECT :provider, model, sum(requests), sum(unpriced), sum(input_tokens),
    sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens),
    sum(cache_write_1h_tokens), sum(reasoning_tokens), sum(audio_input_tokens),
    sum(audio_output_tokens), sum(total_cost)
  FROM delta GROUP BY 2 ORDER BY 2
  ON CONFLICT (provider, model) DO UPDATE SET
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
    total_cost = b.total_cost + excluded.total_cost,
    updated_at = clock_timestamp()
),
touched AS MATERIALIZED (
  SELECT d.model, d.attribution_id, q.id AS query_id
  FROM (
    SELECT DISTINCT model, attribution_id FROM delta WHERE CAST(:budgets AS boolean)
  ) AS d
  LEFT JOIN attribution_keys AS a ON a.id = d.attribution_id
  CROSS JOIN LATERAL (
    SELECT ARRAY['', 'provider=' || :provider, 'model=' || d.model] || a.keys AS keys OFFSET 0
  ) AS k
  CROSS JOIN LATERAL (
    SELECT id FROM budget_queries
    WHERE anchor = ANY (k.keys) AND keys <@ k.keys OFFSET 0
  ) AS q
),
matched AS (
  SELECT t.query_id, d.bucket, sum(d.requests) AS requests, sum(d.unpriced) AS unpriced,
    sum(d.total_cost) AS spend
  FROM delta AS d JOIN touched AS t USING (model, attribution_id) GROUP BY 1, 2
),
periods AS (
  SELECT m.query_id, spendbeat_period_start(m.bucket, q.period, q.zone, q.week_start,
      q.starts_on, q.ends_on) AS period_start,
    sum(m.requests) AS requests, sum(m.unpriced) AS unpriced, sum(m.spend) AS spend
  FROM matched AS m JOIN budget_queries AS q ON q.id = m.query_id GROUP BY 1, 2
),
budget_periods AS (
  INSERT INTO budget_spend AS b (budget_id, period_start, provider, requests, unpriced, spend)
  SELECT g.id, p.period_start, :provider, p.requests, p.unpriced, p.spend
  FROM periods AS p CROSS JOIN LATERAL (
    SELECT id FROM budgets WHERE query_id = p.query_id AND state <> 'removed' OFFSET 0
  ) AS g
  WHERE p.period_start IS NOT NULL ORDER BY 1, 2
  ON CONFLICT (budget_id, period_start, provider) DO UPDATE SET
    requests = b.requests + excluded.requests,
    unpriced = b.unpriced + excluded.unpriced,
    spend = b.spend + excluded.spend
  RETURNING budget_id, period_start
),
news AS (
  INSERT INTO budget_news (provider, budget_ids, period_starts)
  SELECT :provider, array_agg(budget_id), array_agg(period_start) FROM budget_periods
  HAVING count(*) > 0
  RETURNING 1
),
shares AS (
  SELECT a.organization, a.team, a.api_key, sum(d.requests) AS requests,
    sum(d.unpriced) AS unpriced, sum(d.total_cost) AS total_cost
  FROM (
    SELECT attribution_id, sum(requests) AS requests, sum(unpriced) AS unpriced,
      sum(total_cost) AS total_cost
    FROM delta WHERE CAST(:feed AS boolean) GROUP BY 1
  ) AS d
  LEFT JOIN attributions AS a ON a.id = d.attribution_id
  GROUP BY 1, 2, 3
),
lines AS (
  SELECT *, row_number() OVER (ORDER BY abs(total_cost) DESC, requests DESC) AS place FROM shares
),
feed AS (
  INSERT INTO feed_entries (kind, body)
  SELECT 'spend', jsonb_build_object('provider', CAST(:provider AS text),
    'counted_to', (SELECT at FROM ticks WHERE id = CAST(:counted_tick AS bigint)),
    'lines', coalesce(jsonb_agg(jsonb_build_array(organization, team, api_key, requests, unpriced,
      CAST(trim_scale(total_cost) AS text)) ORDER BY place) FILTER (WHERE place <= :lines), '[]'),
    'rest', CASE WHEN count(*) > :lines THEN jsonb_build_array(count(*) - :lines,
      sum(requests) FILTER (WHERE place > :lines), sum(unpriced) FILTER (WHERE place > :lines),
      CAST(trim_scale(sum(total_cost) FILTER (WHERE place > :lines)) AS text)) END)
  FROM lines HAVING count(*) > 0
)
SELECT coalesce(sum(ledger_rows), 0) AS rows, count(*) AS buckets,
  EXISTS (SELECT FROM news) AS budgets
FROM delta
