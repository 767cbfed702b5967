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
-- Budgets whose spend left the range of their verdict though no news is left: the net below the
-- news, and for what a rebuild corrected.
SELECT c.budget_id
FROM budget_checks AS c JOIN budgets AS b ON b.id = c.budget_id AND b.state = 'active'
CROSS JOIN LATERAL (
  SELECT coalesce(sum(s.spend), 0) AS spend FROM budget_spend AS s
  WHERE s.budget_id = c.budget_id AND s.period_start = c.period_start
) AS found
WHERE found.spend >= c.next_line OR found.spend < c.reached
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

-- name: verdicts
-- The periods of budgets that are watched.
SELECT budget_id, period_start FROM budget_checks WHERE budget_id = ANY (CAST(:ids AS integer[]))

-- name: forget_verdicts
-- Before the new ones.
DELETE FROM budget_checks WHERE budget_id = ANY (CAST(:ids AS integer[]))

-- name: contributors
-- The most of what budgets' scopes spent in a period, by dimension.
WITH wanted AS (
  SELECT w.budget_id, b.query_id, w.starts, w.ends
  FROM unnest(CAST(:ids AS integer[]), CAST(:begins AS timestamptz[]),
    CAST(:finishes AS timestamptz[])) AS w (budget_id, starts, ends)
  JOIN budgets AS b ON b.id = w.budget_id
),
matching AS (
  SELECT s.id AS series_id, s.model, s.attribution_id, q.id AS query_id
  FROM series AS s LEFT JOIN attribution_keys AS a ON a.id = s.attribution_id
  CROSS JOIN LATERAL (
    SELECT ARRAY['', 'provider=' || s.provider, 'model=' || s.model] || a.keys AS keys
  ) AS k
  CROSS JOIN LATERAL unnest(k.keys) AS key
  JOIN budget_queries AS q ON q.anchor = key AND q.keys <@ k.keys
  WHERE q.id IN (SELECT query_id FROM wanted)
),
per_series AS (
  SELECT w.budget_id, w.starts, m.model, m.attribution_id, sum(b.total_cost) AS spend
  FROM spend_buckets AS b JOIN matching AS m USING (series_id)
  JOIN wanted AS w ON w.query_id = m.query_id AND b.bucket >= w.starts AND b.bucket < w.ends
  WHERE b.bucket >= CAST(:since AS timestamptz) AND b.bucket < CAST(:until AS timestamptz)
  GROUP BY 1, 2, 3, 4
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
