-- name: shards
-- Shards whose batches moved budgets that nobody has checked since.
SELECT DISTINCT provider FROM budget_news ORDER BY 1

-- name: lock_shard
-- Take a shard's check for this transaction; false while somebody else has it.
SELECT pg_try_advisory_xact_lock(hashtextextended('budget check ' || CAST(:provider AS text), 0))

-- name: take_news
-- Take a shard's oldest news away, and say of which budgets and periods the last verdict does not
-- hold any more. What a batch moved is seen here whenever its news is: one transaction wrote both.
WITH taken AS (
  DELETE FROM budget_news WHERE id = ANY (ARRAY(
    SELECT id FROM budget_news WHERE provider = CAST(:provider AS text) ORDER BY id LIMIT :most
  ))
  RETURNING budget_ids, period_starts
),
moved AS MATERIALIZED (
  SELECT DISTINCT m.budget_id, m.period_start
  FROM taken CROSS JOIN LATERAL unnest(budget_ids, period_starts) AS m (budget_id, period_start)
),
sums AS (
  SELECT m.budget_id, m.period_start, sum(s.spend) AS spend
  FROM moved AS m JOIN budget_spend AS s USING (budget_id, period_start) GROUP BY 1, 2
)
SELECT s.budget_id, s.period_start
FROM sums AS s JOIN budgets AS b ON b.id = s.budget_id AND b.state = 'active'
LEFT JOIN budget_checks AS c
  ON c.budget_id = s.budget_id AND c.period_start = s.period_start
WHERE CASE
  -- A period later than every one that was looked at; an earlier one is not watched any more.
  WHEN c.budget_id IS NULL THEN NOT EXISTS (
    SELECT FROM budget_checks AS n
    WHERE n.budget_id = s.budget_id AND n.period_start >= s.period_start
  )
  ELSE c.version <> b.version OR s.spend >= c.next_line OR s.spend < c.reached
    OR c.forecast_at < CAST(:forecast_before AS timestamptz)
END
ORDER BY 1, 2

-- name: put_back
-- News for a shard's next check: more than one check should look at.
INSERT INTO budget_news (provider, budget_ids, period_starts)
VALUES (:provider, CAST(:ids AS integer[]), CAST(:starts AS date[]))

-- name: due
-- Budgets whose verdict does not hold any more without a new row: one that was changed, or whose
-- time has come.
SELECT b.id FROM budgets AS b
WHERE b.state = 'active' AND NOT EXISTS (
  SELECT FROM budget_checks AS c WHERE c.budget_id = b.id AND c.version = b.version
)
UNION
SELECT c.budget_id FROM budget_checks AS c JOIN budgets AS b ON b.id = c.budget_id
WHERE c.version <> b.version OR c.due_at <= CAST(:now AS timestamptz)
ORDER BY 1 LIMIT :most

-- name: moved_unseen
-- Budgets (some of :ids, or any) whose spend is outside the range of their verdict: for what was
-- compared with an older verdict, and for what a rebuild corrected.
SELECT c.budget_id
FROM budget_checks AS c JOIN budgets AS b ON b.id = c.budget_id AND b.state = 'active'
CROSS JOIN LATERAL (
  SELECT coalesce(sum(s.spend), 0) AS spend FROM budget_spend AS s
  WHERE s.budget_id = c.budget_id AND s.period_start = c.period_start
) AS found
WHERE (found.spend >= c.next_line OR found.spend < c.reached)
  AND (CAST(:ids AS integer[]) IS NULL OR c.budget_id = ANY (CAST(:ids AS integer[])))
ORDER BY 1 LIMIT :most

-- name: hold
-- Budgets that are judged, in one order: their judges and their edits come one after the other.
SELECT id FROM budgets WHERE id = ANY (CAST(:ids AS integer[])) ORDER BY id FOR NO KEY UPDATE

-- name: sums
-- What budgets have spent in periods.
SELECT p.budget_id, p.period_start, coalesce(sum(s.spend), 0) AS spend,
  coalesce(sum(s.unpriced), 0) AS unpriced
FROM unnest(CAST(:ids AS integer[]), CAST(:starts AS date[])) AS p (budget_id, period_start)
LEFT JOIN budget_spend AS s USING (budget_id, period_start)
GROUP BY 1, 2

-- name: forget_verdicts
-- Before the new ones.
DELETE FROM budget_checks WHERE budget_id = ANY (CAST(:ids AS integer[]))

-- name: contributors
-- The most of what budgets' scopes spent in a period, by dimension. Series are found by the keys of
-- the scope; whole days of the reporting zone are read from days, the rest of a period from
-- buckets. Each is looked up by its key (OFFSET 0), which costs what the scope has, not what the
-- ledger has; a scope of very many series reads the days and buckets of its period instead.
WITH zone AS MATERIALIZED (SELECT zone FROM reporting_zone),
spans AS MATERIALIZED (
  SELECT w.budget_id, w.starts, w.ends, q.id AS query_id, q.keys,
    CAST(w.starts AT TIME ZONE z.zone AS date)
      + CAST(CAST(CAST(w.starts AT TIME ZONE z.zone AS date) AS timestamp) AT TIME ZONE z.zone
        < w.starts AS integer) AS first_day,
    CAST(w.ends AT TIME ZONE z.zone AS date) AS end_day
  FROM unnest(CAST(:ids AS integer[]), CAST(:begins AS timestamptz[]),
    CAST(:finishes AS timestamptz[])) AS w (budget_id, starts, ends)
  JOIN budgets AS b ON b.id = w.budget_id
  JOIN budget_queries AS q ON q.id = b.query_id
  CROSS JOIN zone AS z
),
days AS MATERIALIZED (
  SELECT s.budget_id, s.starts, s.query_id, CAST(day AS date) AS day
  FROM spans AS s CROSS JOIN (
    SELECT min(day) AS oldest, max(day) AS newest FROM daily_cost_summaries
  ) AS known
  CROSS JOIN LATERAL generate_series(CAST(greatest(s.first_day, known.oldest) AS timestamp),
    CAST(least(s.end_day - 1, known.newest) AS timestamp), INTERVAL '1 day') AS day
),
quarters AS MATERIALIZED (
  SELECT s.budget_id, s.starts, s.query_id, bucket
  FROM spans AS s CROSS JOIN zone AS z CROSS JOIN (
    SELECT min(bucket) AS oldest, max(bucket) AS newest FROM spend_buckets
  ) AS known
  CROSS JOIN LATERAL (
    SELECT CAST(s.first_day AS timestamp) AT TIME ZONE z.zone AS first_midnight,
      CAST(s.end_day AS timestamp) AT TIME ZONE z.zone AS last_midnight
  ) AS m
  CROSS JOIN LATERAL (
    VALUES (s.starts, CASE WHEN s.first_day < s.end_day THEN m.first_midnight ELSE s.ends END),
      (m.last_midnight, CASE WHEN s.first_day < s.end_day THEN s.ends END)
  ) AS edge (begins, finishes)
  CROSS JOIN LATERAL generate_series(greatest(edge.begins, known.oldest),
    least(edge.finishes - INTERVAL '15 minutes', known.newest), INTERVAL '15 minutes') AS bucket
  WHERE edge.finishes IS NOT NULL
),
queries AS MATERIALIZED (
  SELECT DISTINCT ON (s.query_id) s.query_id, k.keys, coalesce(k.keys[1], '') AS anchor,
    k.provider, k.model
  FROM spans AS s CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(key) FILTER (WHERE field NOT IN ('provider', 'model')), '{}') AS keys,
      max(key) FILTER (WHERE field = 'provider') AS provider,
      max(key) FILTER (WHERE field = 'model') AS model
    FROM (SELECT key, split_part(key, '=', 1) AS field FROM unnest(s.keys) AS key WHERE key <> '') AS split
  ) AS k
),
mixes AS MATERIALIZED (
  SELECT q.query_id, a.id FROM attribution_keys AS a
  CROSS JOIN LATERAL unnest(ARRAY[''] || a.keys) AS key
  JOIN queries AS q ON q.anchor = key AND q.keys <@ a.keys
),
matching AS MATERIALIZED (
  SELECT q.query_id, s.id, s.provider, s.model, s.attribution_id,
    count(*) OVER (PARTITION BY q.query_id) > :many AS broad
  FROM series AS s JOIN mixes AS m ON m.id = s.attribution_id
  JOIN queries AS q ON q.query_id = m.query_id
    AND coalesce(q.provider, 'provider=' || s.provider) = 'provider=' || s.provider
    AND coalesce(q.model, 'model=' || s.model) = 'model=' || s.model
),
found AS (
  SELECT d.budget_id, d.starts, m.model, m.attribution_id, f.total_cost
  FROM days AS d JOIN matching AS m ON m.query_id = d.query_id AND NOT m.broad
  CROSS JOIN LATERAL (
    SELECT total_cost FROM daily_cost_summaries AS f
    WHERE f.day = d.day AND f.provider = m.provider AND f.model = m.model
      AND f.attribution_id = m.attribution_id OFFSET 0
  ) AS f
  UNION ALL
  SELECT q.budget_id, q.starts, m.model, m.attribution_id, f.total_cost
  FROM quarters AS q JOIN matching AS m ON m.query_id = q.query_id AND NOT m.broad
  CROSS JOIN LATERAL (
    SELECT total_cost FROM spend_buckets AS f
    WHERE f.bucket = q.bucket AND f.series_id = m.id OFFSET 0
  ) AS f
  UNION ALL
  SELECT d.budget_id, d.starts, m.model, m.attribution_id, f.total_cost
  FROM days AS d JOIN daily_cost_summaries AS f USING (day)
  JOIN matching AS m ON m.query_id = d.query_id AND m.broad AND f.provider = m.provider
    AND f.model = m.model AND f.attribution_id = m.attribution_id
  WHERE (SELECT bool_or(broad) FROM matching)
  UNION ALL
  SELECT q.budget_id, q.starts, m.model, m.attribution_id, f.total_cost
  FROM quarters AS q JOIN spend_buckets AS f USING (bucket)
  JOIN matching AS m ON m.query_id = q.query_id AND m.broad AND f.series_id = m.id
  WHERE (SELECT bool_or(broad) FROM matching)
),
per_series AS (
  SELECT budget_id, starts, model, attribution_id, sum(total_cost) AS spend
  FROM found GROUP BY 1, 2, 3, 4
),
per_value AS (
  SELECT p.budget_id, p.starts, d.dimension, d.value, sum(p.spend) AS spend
  FROM per_series AS p LEFT JOIN attributions AS a ON a.id = p.attribution_id
  CROSS JOIN LATERAL (
    VALUES ('project', a.project), ('agent', a.agent), ('model', p.model)
  ) AS d (dimension, value)
  GROUP BY 1, 2, 3, 4
),
ranked AS (
  SELECT *, row_number() OVER (PARTITION BY budget_id, starts, dimension
    ORDER BY spend DESC, value) AS place
  FROM per_value
)
SELECT budget_id, starts, dimension, value, spend FROM ranked
WHERE place <= :most AND spend <> 0 ORDER BY budget_id, starts, dimension, place

-- name: list
-- Alerts, the newest first: those of some ids, states, severities, of one budget; NULL is all.
SELECT a.*, b.name AS budget, v.period, v.zone, v.week_start, v.starts_on, v.ends_on
FROM budget_alerts AS a JOIN budgets AS b ON b.id = a.budget_id
JOIN budget_versions AS v ON v.budget_id = a.budget_id AND v.version = a.version
WHERE (CAST(:ids AS integer[]) IS NULL OR a.id = ANY (CAST(:ids AS integer[])))
  AND (CAST(:states AS text[]) IS NULL OR a.state = ANY (CAST(:states AS text[])))
  AND (CAST(:severities AS text[]) IS NULL OR a.severity = ANY (CAST(:severities AS text[])))
  AND (CAST(:budget_id AS integer) IS NULL OR a.budget_id = :budget_id)
  AND (CAST(:before AS integer) IS NULL OR a.id < :before)
ORDER BY a.id DESC LIMIT :most

-- name: counts
-- How many alerts of some states there are of each severity.
SELECT severity, count(*) FROM budget_alerts
WHERE state = ANY (CAST(:states AS text[])) GROUP BY severity

-- name: history
-- What became of an alert, oldest first.
SELECT at, change, by, note, until FROM alert_history WHERE alert_id = :alert ORDER BY id

-- name: known
-- Alerts of budgets that a judge may have something to say about: the live ones, and all of their
-- arming in the periods that it looks at.
SELECT a.id FROM budget_alerts AS a JOIN budgets AS b ON b.id = a.budget_id
WHERE a.budget_id = ANY (CAST(:ids AS integer[]))
  AND (a.state <> 'resolved'
    OR (a.arming = b.arming AND a.period_start = ANY (CAST(:starts AS date[]))))

-- name: raise
-- A crossing, unless it was told before.
INSERT INTO budget_alerts (budget_id, version, arming, period_start, basis, threshold, line,
  severity, spend, unpriced, limit_dollars, forecast, contributors, together, raised_at, state_at,
  escalate_after, escalate_to, due_at)
VALUES (:budget_id, :version, :arming, :period_start, :basis, :threshold, :line, :severity, :spend,
  :unpriced, :limit_dollars, CAST(:forecast AS jsonb), CAST(:contributors AS jsonb),
  CAST(:together AS text[]), CAST(:now AS timestamptz), CAST(:now AS timestamptz),
  CAST(:escalate_after AS integer), CAST(:escalate_to AS text[]),
  CAST(:now AS timestamptz) + make_interval(mins => CAST(:escalate_after AS integer)))
ON CONFLICT ON CONSTRAINT uq_budget_alerts_crossing DO NOTHING
RETURNING id

-- name: turn
-- Another state for an alert, if it is in one of those that can turn into it.
UPDATE budget_alerts SET state = CAST(:state AS text), state_at = CAST(:now AS timestamptz),
  state_by = CAST(:by AS text), state_note = CAST(:note AS text),
  resolution = CAST(:resolution AS text), due_at = CAST(:due_at AS timestamptz)
WHERE id = CAST(:id AS integer) AND state = ANY (CAST(:from_states AS text[]))
RETURNING id

-- name: remember
-- A row of history.
INSERT INTO alert_history (alert_id, at, change, by, note, until)
VALUES (CAST(:id AS integer), CAST(:now AS timestamptz), CAST(:change AS text), CAST(:by AS text),
  CAST(:note AS text), CAST(:until AS timestamptz))

-- name: ripe
-- Alerts that escalate or wake up now, unless somebody is at them. Those of a paused budget wait.
SELECT a.id FROM budget_alerts AS a JOIN budgets AS b ON b.id = a.budget_id AND b.state = 'active'
WHERE a.due_at <= CAST(:now AS timestamptz) ORDER BY a.id LIMIT :most
FOR NO KEY UPDATE OF a SKIP LOCKED

-- name: sent
-- Messages about an alert.
SELECT o.id, o.state, c.name AS channel FROM outbox AS o JOIN channels AS c ON c.id = o.channel_id
WHERE o.lane = ANY (ARRAY(
    SELECT 'budget:' || CAST(:budget_id AS text) || '/channel:' || id FROM channels
  )) AND o.body -> 'alert' ->> 'id' = CAST(:alert AS text)
ORDER BY o.position
