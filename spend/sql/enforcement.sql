-- name: wait_lock
-- Whoever makes a reading makes it alone until the transaction ends. A statement of its own: what
-- comes after it sees at least what the reading before it saw.
SELECT pg_advisory_xact_lock(:lock)

-- name: try_lock
-- The same, without waiting: false where somebody else is at it.
SELECT pg_try_advisory_xact_lock(:lock)

-- name: be_quick
-- Somebody waits for a call: rather fail soon.
SELECT set_config('lock_timeout', CAST(:milliseconds AS text), true)

-- name: next_number
-- The number of a reading; taken under the lock, so a later one has a later snapshot.
SELECT nextval('guard_readings')

-- name: last_number
-- The number that was given last.
SELECT last_value FROM guard_readings

-- name: enforced
-- The budgets that guards enforce, and the version since which they do so without a break and with
-- this scope and calendar. A budget that was paused meanwhile, or had another scope, counts anew.
SELECT b.id, max(v.version) AS since
FROM budgets AS b CROSS JOIN LATERAL (
  SELECT version, enforce, change IN ('added', 'resumed')
    OR lag(enforce) OVER before = 'alert'
    OR lag(jsonb_build_array(scope, period, zone, week_start, starts_on, ends_on)) OVER before
      <> jsonb_build_array(scope, period, zone, week_start, starts_on, ends_on) AS began
  FROM budget_versions WHERE budget_id = b.id WINDOW before AS (ORDER BY version)
) AS v
JOIN budget_versions AS now ON now.budget_id = b.id AND now.version = b.version
WHERE b.state = 'active' AND now.enforce <> 'alert' AND v.began
GROUP BY 1 ORDER BY 1

-- name: booked
-- Which ledger rows requests are that are known by these keys.
SELECT CAST(key AS text) AS key, row_id, started_at FROM request_keys
WHERE key = ANY (CAST(:keys AS uuid[])) ORDER BY row_id

-- name: entries
-- Ledger rows by id and time, and of those that came without a price the adjustments that may
-- settle it: which transaction wrote each, and what it does to the number of unpriced requests.
-- Ids that lie close together are one span, which the block range index reads at once.
WITH wanted AS MATERIALIZED (
  SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS w (id, started_at)
),
spans AS MATERIALIZED (
  SELECT * FROM unnest(CAST(:lows AS bigint[]), CAST(:highs AS bigint[]),
    CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[])) AS s (low, high, first, last)
),
found AS MATERIALIZED (
  SELECT l.id, l.started_at, l.txid, l.provider, l.unpriced
  FROM spans AS s
  CROSS JOIN LATERAL (
    SELECT id, started_at, txid, provider, CAST(cost_usd IS NULL AS integer) AS unpriced
    FROM cost_logs
    WHERE id >= s.low AND id <= s.high AND started_at >= s.first AND started_at <= s.last
      AND adjusts_id IS NULL
    OFFSET 0
  ) AS l
  JOIN wanted AS w ON w.id = l.id AND w.started_at = l.started_at
)
SELECT id AS request, id, txid, provider, unpriced FROM found
UNION ALL
SELECT f.id, a.id, a.txid, a.provider, CAST(a.unpriced AS integer)
FROM found AS f CROSS JOIN LATERAL (
  SELECT id, txid, provider, unpriced FROM cost_logs
  WHERE adjusts_id = f.id AND started_at = f.started_at AND unpriced <> 0
) AS a
WHERE f.unpriced > 0

-- name: sealed
-- The months whose rows were dropped after they had all been counted.
SELECT DISTINCT month FROM sealed_months

-- name: reading
-- What budgets have spent in periods, and which requests of the ledger are in what is spent: two
-- answers of one statement, so of one snapshot. A request is in it when its shard has counted its
-- row, and where it came without a price, the adjustments that settle that. After a restore into
-- another cluster the ticks' transactions mean nothing: then none is, until rollups were rebuilt.
-- A budget that says something else by now than :versions is left out.
WITH here AS MATERIALIZED (SELECT system_identifier FROM pg_control_system()),
entries AS (
  SELECT * FROM unnest(CAST(:requests AS bigint[]), CAST(:ids AS bigint[]),
    CAST(:txids AS bigint[]), CAST(:providers AS text[]), CAST(:unpriced_counts AS integer[])
  ) AS e (request, id, txid, provider, unpriced)
),
counted AS (
  SELECT e.request FROM entries AS e
  JOIN cursors AS c ON c.provider = e.provider
  JOIN ticks AS t ON t.id = c.tick_id
  JOIN here ON here.system_identifier = t.system_identifier
  LEFT JOIN ticks AS cut ON cut.id = c.cut_tick_id
  WHERE e.id <= t.fence_id
    OR e.txid < txid_snapshot_xmin(t.snapshot)
    OR (e.txid < txid_snapshot_xmax(t.snapshot) AND txid_visible_in_snapshot(e.txid, t.snapshot))
    OR (e.id <= c.cut_id AND txid_visible_in_snapshot(e.txid, cut.snapshot))
  GROUP BY e.request HAVING bool_or(e.id = e.request) AND sum(e.unpriced) <= 0
),
wanted AS (
  SELECT * FROM unnest(CAST(:budget_ids AS integer[]), CAST(:versions AS integer[]),
    CAST(:firsts AS date[])) AS w (budget_id, version, first)
)
SELECT w.budget_id, w.first, coalesce(sum(s.spend), 0) AS spend, NULL AS request
FROM wanted AS w
JOIN budgets AS b ON b.id = w.budget_id AND b.version = w.version AND b.state = 'active'
LEFT JOIN budget_spend AS s ON s.budget_id = w.budget_id AND s.period_start = w.first
GROUP BY 1, 2
UNION ALL
SELECT NULL, NULL, NULL, request FROM counted
