-- name: tick
-- The newest tick and its age in seconds.
SELECT id, extract(epoch FROM clock_timestamp() - at) AS age FROM ticks ORDER BY id DESC LIMIT 1

-- name: shards
-- What each shard has done and what it has still to do. Those beyond :most, by rows, are one line.
SELECT CASE WHEN place <= :most THEN provider ELSE 'other' END AS provider,
  sum(rows_total) AS rows_total, sum(batches_total) AS batches_total,
  sum(seconds_total) AS seconds_total,
  coalesce(sum(lag_rows), 0) AS lag_rows,
  coalesce(extract(epoch FROM clock_timestamp() - min(lag_since)), 0) AS lag_seconds
FROM (
  SELECT c.*, ahead.lag_rows, ahead.lag_since,
    row_number() OVER (ORDER BY c.rows_total DESC, c.provider) AS place
  FROM cursors AS c
  LEFT JOIN LATERAL (
    SELECT sum(n.rows) AS lag_rows, min(t.at) AS lag_since
    FROM shard_news AS n JOIN ticks AS t ON t.id = n.tick_id
    WHERE n.provider = c.provider AND n.tick_id > c.tick_id
  ) AS ahead ON true
) AS shard
GROUP BY 1

-- name: audit
-- The newest audit and its age in seconds.
SELECT rows, difference, jsonb_array_length(mismatches) AS mismatches,
  extract(epoch FROM clock_timestamp() - at) AS age
FROM audits WHERE kind = 'verify' ORDER BY id DESC LIMIT 1

-- name: spend
-- Spend of all time by provider and model. Those beyond :most, by cost, are one line.
SELECT CASE WHEN place <= :most THEN provider ELSE 'other' END AS provider,
  CASE WHEN place <= :most THEN model ELSE 'other' END AS model,
  sum(total_cost) AS total_cost, sum(requests) AS requests, sum(unpriced) AS unpriced,
  sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
  sum(cache_read_tokens) AS cache_read_tokens, sum(cache_write_tokens) AS cache_write_tokens,
  sum(cache_write_1h_tokens) AS cache_write_1h_tokens,
  sum(reasoning_tokens) AS reasoning_tokens, sum(audio_input_tokens) AS audio_input_tokens,
  sum(audio_output_tokens) AS audio_output_tokens
FROM (
  SELECT *, row_number() OVER (ORDER BY total_cost DESC, provider, model) AS place
  FROM spend_summary
) AS ranked
GROUP BY 1, 2

-- name: disagreements
-- Requests whose costs were found to disagree in the last 30 days, by provider, and what they are
-- apart; 0 where there are none. Providers beyond :most, by dollars, are one line.
SELECT CASE WHEN place <= :most THEN provider ELSE 'other' END AS provider,
  sum(requests) AS requests, sum(dollars) AS dollars
FROM (
  SELECT provider, sum(requests) AS requests, sum(dollars) AS dollars,
    row_number() OVER (ORDER BY sum(dollars) DESC, provider) AS place
  FROM (
    SELECT provider, requests, difference_usd AS dollars FROM price_disagreements
    WHERE found_at > now() - INTERVAL '30 days'
    UNION ALL SELECT provider, 0, 0 FROM cursors
  ) AS seen
  GROUP BY provider
) AS ranked
GROUP BY 1

-- name: months_ahead
-- How many partitions the ledger has for months that have not begun.
SELECT count(*) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = CAST('cost_logs' AS regclass)
  AND c.relname > 'cost_logs_y' || to_char(now() AT TIME ZONE 'UTC', 'FMYYYY"m"MM')

-- name: attribution_capped
-- How many new values were replaced, of the fields where any was.
SELECT field, replaced FROM attribution_limits WHERE replaced > 0

-- name: ingest
-- What came in over HTTP, since the beginning.
SELECT counted, route, result, total FROM ingest_counts

-- name: spools
-- What gateways said last of their spools. Those beyond :most, by what waits, are one line.
SELECT CASE WHEN place <= :most THEN name ELSE 'other' END AS gateway,
  sum(waiting) AS waiting, sum(dropped) AS dropped, max(age) AS age_seconds
FROM (
  SELECT name, waiting, dropped,
    -- A gateway that fell silent with events in hand has had them for longer since.
    CASE WHEN waiting = 0 THEN 0
      ELSE oldest_seconds + extract(epoch FROM clock_timestamp() - seen_at) END AS age,
    row_number() OVER (ORDER BY waiting DESC, dropped DESC, name) AS place
  FROM gateway_spools
) AS spool
GROUP BY 1

-- name: litellm
-- How far behind each database of LiteLLM's is, and what it brought.
SELECT name AS source, rows_total, settled_total, rejected_total,
  extract(epoch FROM clock_timestamp() - coalesce(caught_up_at, run_at)) AS lag_seconds
FROM litellm_sources ORDER BY rows_total DESC, name LIMIT :most

-- name: budget_states
-- How many budgets are kept, by state.
SELECT state, count(*) AS budgets FROM budgets WHERE state <> 'removed' GROUP BY 1

-- name: budgets
-- What budgets have used in their current periods, their limits as they are now, and the rest. Only
-- the :most nearest to their limits; ranges that are not under way come last.
SELECT id, budget, used, cap, cap - used AS rest
FROM (
  SELECT b.id, b.name AS budget, period.running, spent.used,
    coalesce(v.hard_limit, v.soft_limit)
      + CASE WHEN v.raise_until > now() THEN v.raise_by ELSE 0 END AS cap
  FROM budgets AS b
  JOIN budget_versions AS v ON v.budget_id = b.id AND v.version = b.version
  JOIN budget_queries AS q ON q.id = b.query_id
  CROSS JOIN LATERAL (
    SELECT spendbeat_period_start(now(), q.period, q.zone, q.week_start, q.starts_on, q.ends_on)
      AS running
  ) AS period
  CROSS JOIN LATERAL (
    SELECT coalesce(sum(s.spend), 0) AS used FROM budget_spend AS s
    WHERE s.budget_id = b.id AND s.period_start = coalesce(period.running, q.starts_on)
  ) AS spent
  WHERE b.state <> 'removed'
) AS each_budget
ORDER BY running IS NULL, used / cap DESC NULLS LAST, used DESC, id LIMIT :most

-- name: alerts
-- Alerts by severity and state; of those that are resolved, the ones of the last day.
SELECT severity, state, count(*) AS alerts FROM (
  SELECT severity, state FROM budget_alerts WHERE state <> 'resolved'
  UNION ALL
  SELECT severity, state FROM budget_alerts
  WHERE state = 'resolved' AND state_at > now() - INTERVAL '1 day'
) AS counted
GROUP BY 1, 2

-- name: checks
-- Seconds for which the oldest news of a batch waits to be looked at, and how many budgets should
-- have been looked at :late seconds ago: changed ones, and those whose time has come.
SELECT
  coalesce(extract(epoch FROM clock_timestamp()
    - (SELECT at FROM budget_news ORDER BY id LIMIT 1)), 0) AS age,
  (
    SELECT count(*) FROM budgets AS b
    JOIN budget_versions AS v ON v.budget_id = b.id AND v.version = b.version
    WHERE b.state = 'active' AND (
      v.changed_at <= now() - make_interval(secs => CAST(:late AS float8)) AND NOT EXISTS (
        SELECT FROM budget_checks AS c WHERE c.budget_id = b.id AND c.version = b.version
      )
      OR b.id IN (
        SELECT c.budget_id FROM budget_checks AS c
        WHERE c.due_at <= now() - make_interval(secs => CAST(:late AS float8))
      )
    )
  ) AS overdue

-- name: outbox
-- What waits for each channel, since when, what was given up, and whether it is disabled. Those
-- beyond :most are one line; those that were removed and have nothing left are none.
SELECT CASE WHEN place <= :most THEN name ELSE 'other' END AS channel, sum(waiting) AS waiting,
  sum(dead) AS dead, coalesce(extract(epoch FROM clock_timestamp() - min(oldest)), 0) AS age,
  count(*) FILTER (WHERE state = 'disabled') AS disabled
FROM (
  SELECT c.name, c.state, left_over.waiting, left_over.oldest, given_up.dead,
    row_number() OVER (ORDER BY left_over.waiting DESC, c.id) AS place
  FROM channels AS c
  CROSS JOIN LATERAL (
    SELECT count(*) AS waiting, min(o.created_at) AS oldest
    FROM outbox AS o WHERE o.channel_id = c.id AND o.state = 'waiting'
  ) AS left_over
  CROSS JOIN LATERAL (
    SELECT count(*) AS dead FROM outbox AS o WHERE o.channel_id = c.id AND o.state = 'dead'
  ) AS given_up
  WHERE c.state <> 'removed' OR left_over.waiting > 0 OR given_up.dead > 0
) AS each_channel
GROUP BY 1

-- name: inbox
-- Events that wait to be booked, since when, and those that could not be; no more than :most of each
-- are counted, so that a full inbox costs no more than an empty one.
SELECT
  (SELECT count(*) FROM (
    SELECT FROM event_inbox WHERE error IS NULL LIMIT :most) AS bounded) AS waiting,
  (SELECT count(*) FROM (
    SELECT FROM event_inbox WHERE error IS NOT NULL LIMIT :most) AS bounded) AS rejected,
  coalesce(extract(epoch FROM clock_timestamp() - (
    SELECT arrived_at FROM event_inbox WHERE error IS NULL ORDER BY id LIMIT 1)), 0) AS age

-- name: feed
-- How far the feed is numbered, and since when the oldest entry waits for its number. Without
-- anybody who listens, entries wait until they are forgotten.
SELECT coalesce((SELECT newest FROM feed_state), 0) AS newest,
  coalesce(extract(epoch FROM clock_timestamp() - (
    SELECT at FROM feed_entries WHERE position IS NULL ORDER BY id LIMIT 1)), 0) AS age

-- name: size
-- Bytes of the whole database, as the file system knows them.
SELECT pg_database_size(current_database()) AS bytes

-- name: deliveries
-- Attempts of all time by channel, result and reason. Channels beyond :most are one line.
SELECT CASE WHEN place <= :most THEN name ELSE 'other' END AS channel, result, reason,
  sum(attempts) AS attempts, sum(seconds) AS seconds
FROM (
  SELECT c.name, d.result, d.reason, d.attempts, d.seconds,
    dense_rank() OVER (ORDER BY c.id) AS place
  FROM delivery_counts AS d JOIN channels AS c ON c.id = d.channel_id
) AS each_channel
GROUP BY 1, 2, 3
