-- name: waiting
-- Whether an event waits to be booked.
SELECT EXISTS (SELECT FROM event_inbox WHERE error IS NULL);

-- name: take
-- The oldest events that wait and that nobody else is booking.
SELECT id, route, body FROM event_inbox WHERE error IS NULL
ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: settle
-- Forgets the events that are in the ledger, and notes why the others are not.
WITH gone AS (
  DELETE FROM event_inbox WHERE id = ANY (CAST(:booked AS bigint[]))
)
UPDATE event_inbox AS e SET error = r.reason
FROM unnest(CAST(:refused AS bigint[]), CAST(:reasons AS text[])) AS r (id, reason)
WHERE e.id = r.id;

-- name: status
-- How many events wait and since when, and how many could not be booked.
SELECT count(*) FILTER (WHERE error IS NULL) AS waiting,
  min(arrived_at) FILTER (WHERE error IS NULL) AS oldest,
  count(*) FILTER (WHERE error IS NOT NULL) AS rejected
FROM event_inbox;

-- name: rejected
-- The oldest events that could not be booked, and why.
SELECT id, arrived_at, route, error AS reason, body FROM event_inbox WHERE error IS NOT NULL
ORDER BY id LIMIT :limit;

-- name: keep
-- Keeps events that could not be booked, each once, until :most of them are there.
INSERT INTO event_inbox (route, body, error)
SELECT n.route, n.body, n.reason
FROM (
  SELECT CAST(:route AS text) AS route, e.body, min(e.reason) AS reason,
    row_number() OVER (ORDER BY e.body) AS place
  FROM unnest(CAST(:bodies AS text[]), CAST(:reasons AS text[])) AS e (body, reason)
  WHERE NOT EXISTS (
    SELECT FROM event_inbox AS k
    WHERE k.error IS NOT NULL AND k.route = CAST(:route AS text) AND k.body = e.body
  )
  GROUP BY e.body
) AS n
WHERE n.place + (SELECT count(*) FROM event_inbox WHERE error IS NOT NULL) <= :most;
