-- name: hold
-- What an edit of budgets holds until its commit: no batch is between its buckets and its budgets.
SELECT pg_advisory_xact_lock(:lock)

-- name: listed
-- Budgets as their newest version says, by name; :ids NULL is all of them.
SELECT b.id, b.state, b.version, b.created_at, b.created_by, b.arming, b.armed_at, v.changed_at,
  v.changed_by, v.change, v.name, v.scope, v.period, v.zone, v.week_start, v.starts_on, v.ends_on,
  v.soft_limit, v.hard_limit, v.thresholds, v.raise_by, v.raise_until, v.note,
  v.enforce, v.throttle_per_minute, v.unreachable, v.allowance, v.unpriced, v.ceiling
FROM budgets AS b JOIN budget_versions AS v ON v.budget_id = b.id AND v.version = b.version
WHERE (CAST(:ids AS integer[]) IS NULL OR b.id = ANY (CAST(:ids AS integer[])))
  AND (CAST(:removed AS boolean) OR b.state <> 'removed')
ORDER BY b.name, b.id

-- name: history
-- Every version of one budget, oldest first.
SELECT b.id, b.state, v.version, b.created_at, b.created_by, b.arming, b.armed_at, v.changed_at,
  v.changed_by, v.change, v.name, v.scope, v.period, v.zone, v.week_start, v.starts_on, v.ends_on,
  v.soft_limit, v.hard_limit, v.thresholds, v.raise_by, v.raise_until, v.note,
  v.enforce, v.throttle_per_minute, v.unreachable, v.allowance, v.unpriced, v.ceiling
FROM budgets AS b JOIN budget_versions AS v ON v.budget_id = b.id
WHERE b.id = :budget ORDER BY v.version

-- name: anchors
-- How many queries have each key; the fewer, the better an anchor it is.
SELECT key, count(*) FROM budget_queries, unnest(keys) AS key GROUP BY 1

-- name: known_queries
-- The ids of queries that are there.
SELECT digest, id FROM budget_queries WHERE digest = ANY (CAST(:digests AS uuid[]))

-- name: forget_queries
-- Queries that no budget asks any more.
DELETE FROM budget_queries AS q WHERE NOT EXISTS (
  SELECT FROM budgets AS b WHERE b.query_id = q.id AND b.state <> 'removed'
)

-- name: clear
-- The spend of some budgets, or of one provider in all of them.
DELETE FROM budget_spend
WHERE budget_id = ANY (CAST(:ids AS integer[])) OR provider = CAST(:provider AS text)

-- name: recompute
-- The spend of some budgets from the buckets; :ids NULL is all of them, :provider NULL every one.
INSERT INTO budget_spend (budget_id, period_start, provider, requests, unpriced, spend)
WITH wanted AS (
  SELECT DISTINCT query_id FROM budgets WHERE state <> 'removed'
    AND (CAST(:ids AS integer[]) IS NULL OR id = ANY (CAST(:ids AS integer[])))
),
matching AS (
  SELECT s.id AS series_id, s.provider, q.id AS query_id
  FROM series AS s LEFT JOIN attribution_keys AS a ON a.id = s.attribution_id
  CROSS JOIN LATERAL (
    SELECT ARRAY['', 'provider=' || s.provider, 'model=' || s.model] || a.keys AS keys
  ) AS k
  CROSS JOIN LATERAL unnest(k.keys) AS key
  JOIN budget_queries AS q ON q.anchor = key AND q.keys <@ k.keys
  JOIN wanted AS w ON w.query_id = q.id
  WHERE CAST(:provider AS text) IS NULL OR s.provider = :provider
),
per_bucket AS (
  SELECT m.query_id, m.provider, b.bucket, sum(b.requests) AS requests,
    sum(b.unpriced) AS unpriced, sum(b.total_cost) AS spend
  FROM spend_buckets AS b JOIN matching AS m USING (series_id) GROUP BY 1, 2, 3
),
periods AS (
  SELECT p.query_id, p.provider, spendbeat_period_start(p.bucket, q.period, q.zone, q.week_start,
      q.starts_on, q.ends_on) AS period_start,
    sum(p.requests) AS requests, sum(p.unpriced) AS unpriced, sum(p.spend) AS spend
  FROM per_bucket AS p JOIN budget_queries AS q ON q.id = p.query_id GROUP BY 1, 2, 3
)
SELECT g.id, p.period_start, p.provider, p.requests, p.unpriced, p.spend
FROM periods AS p JOIN budgets AS g ON g.query_id = p.query_id AND g.state <> 'removed'
WHERE p.period_start IS NOT NULL
  AND (CAST(:ids AS integer[]) IS NULL OR g.id = ANY (CAST(:ids AS integer[])))
ORDER BY 1, 2, 3

-- name: audit
-- Every period of every budget whose spend is not the sum of its matching buckets, of one provider
-- or of all; found in one statement, so exact while rollups run.
WITH matching AS (
  SELECT s.id AS series_id, s.provider, q.id AS query_id
  FROM series AS s LEFT JOIN attribution_keys AS a ON a.id = s.attribution_id
  CROSS JOIN LATERAL (
    SELECT ARRAY['', 'provider=' || s.provider, 'model=' || s.model] || a.keys AS keys
  ) AS k
  CROSS JOIN LATERAL unnest(k.keys) AS key
  JOIN budget_queries AS q ON q.anchor = key AND q.keys <@ k.keys
  WHERE CAST(:provider AS text) IS NULL OR s.provider = :provider
),
per_bucket AS (
  SELECT m.query_id, m.provider, b.bucket, sum(b.requests) AS requests,
    sum(b.unpriced) AS unpriced, sum(b.total_cost) AS spend
  FROM spend_buckets AS b JOIN matching AS m USING (series_id) GROUP BY 1, 2, 3
),
periods AS (
  SELECT p.query_id, p.provider, spendbeat_period_start(p.bucket, q.period, q.zone, q.week_start,
      q.starts_on, q.ends_on) AS period_start,
    sum(p.requests) AS requests, sum(p.unpriced) AS unpriced, sum(p.spend) AS spend
  FROM per_bucket AS p JOIN budget_queries AS q ON q.id = p.query_id GROUP BY 1, 2, 3
),
expected AS (
  SELECT g.id AS budget_id, p.period_start, p.provider, p.requests, p.unpriced, p.spend
  FROM periods AS p JOIN budgets AS g ON g.query_id = p.query_id AND g.state <> 'removed'
  WHERE p.period_start IS NOT NULL
)
SELECT budget_id, period_start, provider,
  coalesce(e.requests, 0) AS expected_requests, coalesce(f.requests, 0) AS requests,
  coalesce(e.unpriced, 0) AS expected_unpriced, coalesce(f.unpriced, 0) AS unpriced,
  coalesce(e.spend, 0) AS expected_spend, coalesce(f.spend, 0) AS spend
FROM expected AS e FULL JOIN (
  SELECT * FROM budget_spend
  WHERE CAST(:provider AS text) IS NULL OR provider = :provider
) AS f USING (budget_id, period_start, provider)
WHERE coalesce(e.requests, 0) <> coalesce(f.requests, 0)
  OR coalesce(e.unpriced, 0) <> coalesce(f.unpriced, 0)
  OR coalesce(e.spend, 0) <> coalesce(f.spend, 0)
ORDER BY 1, 2, 3

-- name: namesakes
-- Names that some kept budgets have, but for some of them.
SELECT name FROM budgets WHERE state <> 'removed' AND name = ANY (CAST(:names AS text[]))
  AND id <> ALL (CAST(:ids AS integer[]))

-- name: count
-- How many budgets there are that spend is counted for.
SELECT count(*) FROM budgets WHERE state <> 'removed'

-- name: spent
-- What some budgets have spent in the period that a moment is in, over all providers; a range has
-- one period, before and after it too. Which one it is says the calendar that counts.
SELECT b.id, p.period_start, coalesce(sum(s.requests), 0) AS requests,
  coalesce(sum(s.unpriced), 0) AS unpriced, coalesce(sum(s.spend), 0) AS spend
FROM budgets AS b JOIN budget_queries AS q ON q.id = b.query_id
CROSS JOIN LATERAL (
  SELECT coalesce(spendbeat_period_start(:now, q.period, q.zone, q.week_start, q.starts_on,
    q.ends_on), q.starts_on) AS period_start
) AS p
LEFT JOIN budget_spend AS s ON s.budget_id = b.id AND s.period_start = p.period_start
WHERE b.state <> 'removed' AND b.id = ANY (CAST(:ids AS integer[])) GROUP BY 1, 2

-- name: past
-- The newest periods of one budget that spent something.
SELECT period_start, sum(requests) AS requests, sum(unpriced) AS unpriced, sum(spend) AS spend
FROM budget_spend WHERE budget_id = :budget GROUP BY 1 ORDER BY 1 DESC LIMIT :most

-- name: days
-- What some budgets' scopes spent per day of their zones, for forecasts.
WITH matching AS (
  SELECT s.id AS series_id, q.id AS query_id, q.zone
  FROM series AS s LEFT JOIN attribution_keys AS a ON a.id = s.attribution_id
  CROSS JOIN LATERAL (
    SELECT ARRAY['', 'provider=' || s.provider, 'model=' || s.model] || a.keys AS keys
  ) AS k
  CROSS JOIN LATERAL unnest(k.keys) AS key
  JOIN budget_queries AS q ON q.anchor = key AND q.keys <@ k.keys
  WHERE q.id IN (SELECT query_id FROM budgets WHERE id = ANY (CAST(:ids AS integer[])))
),
per_bucket AS (
  SELECT m.query_id, m.zone, b.bucket, sum(b.total_cost) AS spend
  FROM spend_buckets AS b JOIN matching AS m USING (series_id)
  WHERE b.bucket >= :since GROUP BY 1, 2, 3
),
per_day AS (
  SELECT query_id, CAST(bucket AT TIME ZONE zone AS date) AS day, sum(spend) AS spend
  FROM per_bucket GROUP BY 1, 2
)
SELECT g.id, d.day, d.spend
FROM per_day AS d JOIN budgets AS g ON g.query_id = d.query_id
WHERE g.id = ANY (CAST(:ids AS integer[])) ORDER BY 1, 2
