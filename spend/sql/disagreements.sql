-- name: fold
-- Rows of a day, model and pair of sources become one; how many rows fewer there are.
WITH many AS (
  SELECT day, provider, model, booked_source, other_source FROM price_disagreements
  GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1
),
gone AS (
  DELETE FROM price_disagreements AS d USING many AS m
  WHERE (d.day, d.provider, d.model, d.booked_source, d.other_source)
    = (m.day, m.provider, m.model, m.booked_source, m.other_source)
  RETURNING d.*
),
folded AS (
  INSERT INTO price_disagreements (day, provider, model, booked_source, other_source, requests,
    booked_usd, other_usd, difference_usd, example_row_id, found_at)
  SELECT day, provider, model, booked_source, other_source, sum(requests),
    sum(booked_usd), sum(other_usd), sum(difference_usd), max(example_row_id), max(found_at)
  FROM gone GROUP BY 1, 2, 3, 4, 5
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM folded)

-- name: found
-- What disagrees by day and model, the largest differences first.
SELECT day, provider, model, booked_source, other_source,
  CAST(sum(requests) AS bigint) AS requests, sum(booked_usd) AS booked_usd,
  sum(other_usd) AS other_usd, sum(difference_usd) AS difference_usd,
  max(example_row_id) AS example_row_id, max(found_at) AS found_at
FROM price_disagreements
WHERE (CAST(:model AS text) IS NULL OR lower(model) = lower(CAST(:model AS text)))
  AND (CAST(:since AS date) IS NULL OR day >= CAST(:since AS date))
GROUP BY 1, 2, 3, 4, 5
ORDER BY difference_usd DESC, day DESC, provider, model, booked_source, other_source
