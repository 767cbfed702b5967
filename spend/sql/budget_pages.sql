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
