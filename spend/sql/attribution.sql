-- name: version
-- A text that is another one whenever a rule was added or ended, or a limit set.
SELECT md5(concat(
  (SELECT string_agg(concat_ws(' ', id, extract(epoch FROM valid_to)), ',' ORDER BY id)
   FROM attribution_rules), ';',
  (SELECT string_agg(concat_ws(' ', field, most), ',' ORDER BY field)
   FROM attribution_limits WHERE most IS NOT NULL)));

-- name: open_limits
-- Makes the rows of fields that have none yet.
INSERT INTO attribution_limits (field)
SELECT f.field FROM unnest(CAST(:fields AS text[])) AS f (field)
WHERE NOT EXISTS (SELECT FROM attribution_limits AS l WHERE l.field = f.field)
ORDER BY f.field
ON CONFLICT (field) DO NOTHING;

-- name: hold_limits
-- Locks the rows of some fields, always in the same order, and says what they hold.
SELECT l.field, coalesce(l.most, k.most) AS most, l.known
FROM attribution_limits AS l
LEFT JOIN attribution_limits AS k ON k.field = 'tag:*' AND l.field LIKE 'tag:%'
WHERE l.field = ANY (CAST(:fields AS text[]))
ORDER BY l.field
FOR UPDATE OF l;

-- name: known_values
-- Which of some values are known.
SELECT v.field, v.value
FROM unnest(CAST(:fields AS text[]), CAST(:values AS text[])) AS s (field, value)
CROSS JOIN LATERAL (
  SELECT field, value FROM attribution_values AS a
  WHERE a.field = s.field AND a.value = s.value LIMIT 1
) AS v;

-- name: add_values
-- Records new values.
INSERT INTO attribution_values (field, value)
SELECT field, value
FROM unnest(CAST(:fields AS text[]), CAST(:values AS text[])) AS s (field, value)
ORDER BY field, value
ON CONFLICT (field, value) DO NOTHING;

-- name: count_known
-- Adds to how many values fields have.
UPDATE attribution_limits AS l SET known = l.known + s.added
FROM unnest(CAST(:fields AS text[]), CAST(:added AS integer[])) AS s (field, added)
WHERE l.field = s.field;

-- name: count_replaced
-- Notes what was replaced, of fields whose rows are held.
UPDATE attribution_limits AS l SET replaced = l.replaced + s.times, example = s.example,
  capped_since = coalesce(l.capped_since, clock_timestamp()), capped_at = clock_timestamp()
FROM unnest(CAST(:fields AS text[]), CAST(:times AS bigint[]), CAST(:examples AS text[]))
  AS s (field, times, example)
WHERE l.field = s.field;

-- name: known_mixes
-- The ids of combinations that are recorded.
SELECT digest, id FROM attributions WHERE digest = ANY (CAST(:digests AS uuid[]));

-- name: record
-- Records combinations of which none is recorded.
INSERT INTO attributions
  (digest, organization, project, sprint, agent, user_id, team, api_key, tags)
SELECT digest, organization, project, sprint, agent, user_id, team, api_key, tags
FROM jsonb_to_recordset(CAST(:mixes AS jsonb)) AS m (digest uuid, organization text, project text,
  sprint text, agent text, user_id text, team text, api_key text, tags text[])
ORDER BY digest
RETURNING digest, id;
