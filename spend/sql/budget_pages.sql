-- name: page
-- Budgets by name, those behind one of them where it is named; :most at most.
SELECT id FROM budgets
WHERE (CAST(:removed AS boolean) OR state <> 'removed')
  AND (CAST(:name AS text) IS NULL OR (name, id) > (CAST(:name AS text), CAST(:id AS integer)))
ORDER BY name, id LIMIT :most

-- name: called
-- The budget of a name or number: a kept one before those that were removed, then the newest.
SELECT id FROM budgets
WHERE (name = CAST(:which AS text) OR id = CAST(:id AS integer))
  AND (CAST(:removed AS boolean) OR state <> 'removed')
ORDER BY state = 'removed', id DESC LIMIT 1

-- name: fullest
-- Budgets by the share of their limit that is spent in their current period, the fullest first;
-- those without a limit come last. What percentages are of: the hard limit, or else the soft one.
SELECT b.id
FROM budgets AS b
JOIN budget_versions AS v ON v.budget_id = b.id AND v.version = b.version
JOIN budget_queries AS q ON q.id = b.query_id
CROSS JOIN LATERAL (
  SELECT coalesce(v.hard_limit, v.soft_limit)
    + CASE WHEN CAST(:now AS timestamptz) < v.raise_until THEN v.raise_by ELSE 0 END AS dollars
) AS l
LEFT JOIN LATERAL (
  SELECT sum(s.spend) AS spend FROM budget_spend AS s
  WHERE s.budget_id = b.id AND s.period_start = coalesce(spendbeat_period_start(
    CAST(:now AS timestamptz), q.period, q.zone, q.week_start, q.starts_on, q.ends_on), q.starts_on)
) AS t ON true
WHERE b.state = 'active'
ORDER BY coalesce(t.spend, 0) / nullif(l.dollars, 0) DESC NULLS LAST, b.name, b.id
LIMIT :most
