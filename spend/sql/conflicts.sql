-- name: report
-- Notes requests whose id was known for something else, each of them once.
INSERT INTO request_conflicts (route, request_id, reason, said)
SELECT c.route, c.request_id, c.reason, CAST(c.said AS jsonb)
FROM jsonb_to_recordset(CAST(:conflicts AS jsonb))
  AS c (route text, request_id text, reason text, said text)
WHERE NOT EXISTS (
  SELECT FROM request_conflicts AS r
  WHERE r.request_id = c.request_id AND r.reason = c.reason AND r.said = CAST(c.said AS jsonb)
);

-- name: newest
-- The newest requests whose id was known for something else.
SELECT at, route, request_id, reason, said FROM request_conflicts ORDER BY id DESC LIMIT :limit;

-- name: prune
-- Forgets conflicts that nobody will look into any more.
DELETE FROM request_conflicts WHERE at < now() - INTERVAL '90 days';
