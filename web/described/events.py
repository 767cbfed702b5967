"""The description of GET /events."""

from web.described.calls import TEXT, in_query, told

_EXAMPLE = """\
retry: 2417
id: 5f0c9a1be2d4-1041

event: spend
data: {"provider":"openai","requests":3,"unpriced":0,"total_cost":"0.0421","counted_to":\
"2026-11-22T09:15:05.117204+00:00","lines":[{"organization":"acme","team":"search","api_key":null,\
"requests":3,"unpriced":0,"total_cost":"0.0421"}],"rest":null}
id: 5f0c9a1be2d4-1042

event: alert
data: {"id":17,"change":"raised","budget_id":4,"budget":"shop","period":"2026-11-01","basis":\
"actual","threshold":"80%","line":"80","severity":"warning","spend":"81.27","unpriced":0,"limit":\
"100","state":"open","state_at":"2026-11-22T09:15:05.4+00:00","resolution":null,"by":""}
id: 5f0c9a1be2d4-1043

: ping
id: 5f0c9a1be2d4-1043

"""
_STREAM = {
    "description": "A stream that ends when somebody hangs up. A reset says that what was missed"
    " cannot be told any more: load anew, and go on.",
    "content": {"text/event-stream": {"schema": TEXT, "example": _EXAMPLE}},
}
_LAST_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "schema": TEXT,
    "description": "The id of the last event that was received: go on after it.",
}
LISTEN = told(
    "read",
    {200: _STREAM},
    in_query("kinds", {**TEXT, "default": "spend,alert"}, "spend, alert, or both with a comma."),
    in_query("last_event_id", TEXT, "For clients that cannot send the header."),
    _LAST_ID,
)
